"""Start the real vLLM so that it fails, and keep the ends of its logs: tests/engine/logs/NAME.log.

`python -m tools.failures NAME...`, or all of them without a name. Each takes up to two minutes.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from e2e.cluster import environments
from e2e.cluster.console import Console
from e2e.cluster.settings import REPOSITORY, Settings

from .cases import CASES, STARTED, Case

LOGS: Final = Path(os.environ.get("LOGS", REPOSITORY / "tests" / "engine" / "logs"))
LINES: Final = 150
SECONDS: Final = 600.0
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


def fail(case: Case, python: Path, tiny: Path, cache: Path) -> tuple[str, int]:
    """The log and the exit code as a container has it; RuntimeError where vLLM starts all the same."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        shutil.copytree(tiny, model)
        case.spoil(model)
        name = case.model.replace("{model}", str(model))
        arguments = [argument.replace("{model}", str(model)) for argument in case.args]
        argv = [python, "-m", "vllm.entrypoints.openai.api_server", "--port", "0", "--model", name, *arguments]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "VLLM_CACHE_ROOT": str(cache),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        log, code = _run([str(word) for word in argv], {**environment, **case.environment}, case)
    log = _COLOUR.sub("", log).replace(str(model), "/models/tiny").replace(folder, "/tmp").replace(str(cache), "/cache")
    log = log.replace(str(python.parents[1]), "/opt/vllm").replace(sys.base_prefix, "/usr/local")
    return "\n".join(log.splitlines()[-LINES:]) + "\n", code


def _run(argv: list[str], environment: dict[str, str], case: Case) -> tuple[str, int]:
    lines: list[str] = []
    kill = case.kill
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        late = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if kill and case.at in line:
                os.kill(_pid(kill.process, lines), kill.signal)
                kill = None
            elif STARTED in line:
                late.cancel()
                os.killpg(process.pid, signal.SIGKILL)
                raise RuntimeError("it starts")
        late.cancel()
    # What a signal ended has 128 and its number, as container runtimes have it.
    return "".join(lines), process.returncode if process.returncode >= 0 else 128 - process.returncode


def _pid(process: str, lines: list[str]) -> int:
    """A process of vLLM's, from what it wrote before its lines."""
    return int(next(found[1] for line in lines if (found := re.search(rf"{process} pid=(\d+)", line))))


def main() -> int:
    """Write the logs of the cases that are named; 1 when one of them starts, or ends with another exit code."""
    settings, console = Settings(), Console()
    venv = environments.engine(REPOSITORY / "requirements" / "engine-cpu.txt", settings, console)
    tiny = environments.tiny_model(venv, settings, console)
    cases = {case.name: case for case in CASES}
    failed = 0
    for name in sys.argv[1:] or cases:
        try:
            log, code = fail(cases[name], venv / "bin" / "python", tiny, settings.cache / "failures")
        except RuntimeError as error:
            console.say(f"{name}: {error}")
            failed = 1
            continue
        (LOGS / f"{name}.log").write_text(log, encoding="utf-8")
        expected = cases[name].code
        console.say(f"{name}: exit code {code}" + ("" if code == expected else f", not {expected}"))
        failed |= code != expected
    return failed


if __name__ == "__main__":
    sys.exit(main())
