"""The parser of the vLLM that this interpreter imports, as a process: JSON lines in, JSON lines out.

The first line that it writes has all options; then each line that it reads is an argv and is answered with null, or
with the last line that the parser wrote before it gave up. Standard library only, besides that vLLM.
"""

import contextlib
import io
import json
import os
import sys
from argparse import ArgumentParser

from tools.flags.reader import options, pretend, server_parser


def verdict(parser: ArgumentParser, argv: list[str]) -> str | None:
    """What the parser has against an argv."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            parser.parse_args(argv)
        except SystemExit:
            return errors.getvalue().rstrip().rpartition("\n")[2]
        except Exception as error:  # noqa: BLE001 - vLLM's parser has more ways to end than argparse's
            return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    """Until there is nothing more to read."""
    # vLLM logs to stdout.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        pretend("cpu")
        parser = server_parser()
        answers.write(json.dumps(options(parser)) + "\n")
        answers.flush()
        for line in sys.stdin:
            answers.write(json.dumps(verdict(parser, json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
