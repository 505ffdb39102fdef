"""`python -m slmfleet.fetcher --uri s3://bucket/folder --root /adapters --max-bytes 4294967296`.

Exit codes: 0 the adapter is there; 2 the command line is wrong; 3 refused, another attempt would end the same way;
4 failed, another attempt may succeed; 143 after SIGTERM.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from .credentials import collect, secrets_of
from .errors import EX_AGAIN, EX_REFUSED, EX_TERMINATED, FetchError
from .fetch import Order, digits_of, fetch
from .report import Report
from .source import parse
from .sources import open_source
from .volume import Volume

TERMINATION_LOG = Path("/dev/termination-log")


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch one adapter; returns the exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    os.umask(0o022)
    options = _options(argv)
    report = Report(options.result, (), time.monotonic)
    try:
        location = parse(options.uri, options.revision)
        values = collect(location.scheme, options.credentials, os.environ)
        report = Report(options.result, secrets_of(values), time.monotonic)
        if options.digest is not None:
            digits_of(options.digest)
        volume = Volume(options.root, report.say)
        order = Order(str(location), options.digest, options.max_bytes)
        facts = fetch(order, open_source(location, values, os.environ), volume, report)
    except FetchError as error:
        report.failed(error.reason, str(error))
        return EX_AGAIN if error.again else EX_REFUSED
    except SystemExit:
        report.failed("Interrupted", "the fetch was ended before it was done")
        raise
    report.succeeded(facts)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="slmfleet.fetcher", description=__doc__, allow_abbrev=False)
    parser.add_argument("--uri", required=True, help="hf://owner/name[/folder], s3://bucket/folder, gs://bucket/folder")
    parser.add_argument("--revision", help="commit, tag or branch of an hf:// source")
    parser.add_argument("--digest", help="sha256:…, which the files must have")
    parser.add_argument("--root", required=True, type=Path, help="the volume's folder of adapters")
    parser.add_argument("--max-bytes", required=True, type=_positive, help="bound on the size of all files")
    parser.add_argument("--credentials", type=Path, help="a mounted Secret: one file per key")
    parser.add_argument("--result", type=Path, default=TERMINATION_LOG, help="where the result is written")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is a number of bytes, 1 or more")
    return number


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """Unwinds, so that what is unfinished is removed. Process 1 of a container would otherwise not notice."""
    raise SystemExit(EX_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
