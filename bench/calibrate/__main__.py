"""Fits the step times of vLLM's CPU engine and says how far the model is off: `python -m bench.calibrate [--write]`.

Starts the real vLLM with the tiny model (60 to 150 s), fits a, p, d and kappa on controlled loads, and compares three
open loads with the simulator's model of the same requests. --write keeps the result in bench/results/calibration.json
and the coefficients in operator/slmfleet/engine/steptime.json.
"""

import argparse
import sys
import time

from e2e.cluster.settings import Settings

from . import controls, engine, loads, report


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.calibrate", description=__doc__.splitlines()[0])
    made.add_argument("--repeat", type=int, default=3, help="times that each open load is run, in turns")
    made.add_argument("--seconds", type=float, default=loads.SECONDS, help="length of an open load")
    made.add_argument("--patience", type=float, default=300.0, help="seconds to wait for a quiet machine, twice")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--write", action="store_true", help="keep the result and the coefficients")
    return made


def calibrated(running: engine.Engine, args: argparse.Namespace) -> report.Calibration:
    series = controls.measure(running, time.monotonic() + args.patience, tell)
    fitted = controls.fitted(running, series)
    rate = loads.capacity(running, fitted, args.seed)
    tell(f"{fitted.step}: {rate:.1f} requests/s at most")
    drawn = {
        name: loads.drawn(share * rate, max(20, round(share * rate * args.seconds)), args.seed)
        for name, share in loads.SHARES.items()
    }
    runs = loads.runs(running, fitted, drawn, args.repeat, time.monotonic() + args.patience, tell)
    return report.Calibration(running, series, fitted, rate, drawn, runs, args.repeat)


def main() -> int:
    args = parser().parse_args()
    # Kept: a start is faster with what the one before has compiled, and after a failed one its log is there.
    folder = Settings().cache / "calibrate"
    folder.mkdir(parents=True, exist_ok=True)
    with engine.started(folder) as running:
        result = calibrated(running, args)
    sys.stdout.write(report.text(result))
    if args.write:
        report.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
