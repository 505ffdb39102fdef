"""The command line: `python -m e2e.cluster up|down|status|env|purge|build|load-image`."""

import argparse
import sys
from pathlib import Path

from . import gotools, images, lifecycle
from .console import ClusterError, Console
from .settings import Settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m e2e.cluster", description="A real one-node Kubernetes on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="build what is missing, start or repair the cluster")
    start.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    start.add_argument(
        "--gpus", type=int, default=Settings.gpus, help="GPUs that the node claims to have (default %(default)s)"
    )
    commands.add_parser("down", help="stop it and put the machine back; objects and images stay")
    commands.add_parser("status", help="one line per component; exit code 1 if something is wrong")
    commands.add_parser("env", help='shell lines for eval "$(python -m e2e.cluster env)"')
    commands.add_parser("purge", help="down, and delete the cluster's state; builds stay")
    build = commands.add_parser("build", help="build Go tools of e2e/cluster/go that `up` leaves out")
    build.add_argument("tool", nargs="+")
    load = commands.add_parser("load-image", help="import image archives into the cluster")
    load.add_argument("tar", nargs="+", type=Path)
    return parser.parse_args()


def _dispatch(arguments: argparse.Namespace) -> int:
    settings = Settings(gpus=getattr(arguments, "gpus", Settings.gpus))
    console = Console(quiet=getattr(arguments, "quiet", False))
    match arguments.command:
        case "up":
            lifecycle.up(settings, console)
            console.say(f"ready; use it with:\n{lifecycle.environment(settings)}")
        case "down":
            lifecycle.down(settings, console)
        case "status":
            return 0 if lifecycle.status(settings, console) else 1
        case "env":
            console.out(lifecycle.environment(settings))
        case "purge":
            lifecycle.purge(settings, console)
        case "build":
            for name in arguments.tool:
                console.out(str(gotools.ensure(name, settings, console)))
        case "load-image":
            for tar in arguments.tar:
                images.import_archive(tar, settings)
    return 0


def main() -> int:
    """Run one command; errors are one message, without a traceback."""
    try:
        return _dispatch(_arguments())
    except ClusterError as e:
        sys.stderr.write(f"error: {e}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; `up` goes on from here, `down` undoes it\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
