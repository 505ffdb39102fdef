"""Runs a module as `python3 -m MODULE ARGUMENTS` does, with the folder around this one on the import path.

So vLLM finds the guard without PYTHONPATH, which images set for themselves (upstream's ROCm image, for amdsmi) and a
variable of the pod would replace. Processes that vLLM spawns take the import path over.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """`launch.py MODULE ARGUMENTS...`."""
    module = sys.argv.pop(1)
    # The interpreter put the real folder of this file first, which the kubelet renames when it writes a volume again.
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).resolve().parent)]
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, str(Path.cwd()))  # where -m looks first
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
