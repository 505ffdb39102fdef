"""launch.py and the package as they lie in the container, in a process of their own."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path("operator/slmfleet/guard")
MODULE = """
import os, sys
from slmfleet_guard import Guard
assert sys.path[1] == os.getcwd(), sys.path
assert not any(".." in path for path in sys.path), sys.path
print(__name__, __spec__.name, sys.argv[1:], Guard.__module__, os.environ.get("PYTHONPATH"))
import beside
"""


def mounted(folder: Path) -> Path:
    """The folder as the kubelet mounts it: links into a folder whose name changes."""
    real, place = folder / "..2026_01_02", folder / "guard" / "slmfleet_guard"
    shutil.copytree(SOURCE, real, ignore=shutil.ignore_patterns("__pycache__"))
    place.mkdir(parents=True)
    for file in real.iterdir():
        (place / file.name).symlink_to(file)
    return place


@pytest.mark.parametrize("pythonpath", [None, "theirs"])
def test_the_module_runs_as_with_dash_m_and_finds_the_guard(tmp_path: Path, pythonpath: str | None) -> None:
    place, theirs = mounted(tmp_path), tmp_path / "theirs"
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "server.py").write_text(MODULE)
    theirs.mkdir()
    (tmp_path / "beside.py" if pythonpath is None else theirs / "beside.py").write_text("")
    environment = {} if pythonpath is None else {"PYTHONPATH": str(theirs)}
    argv = [sys.executable, str(place / "launch.py"), "engine.server", "--port", "8000"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    expected = f"__main__ engine.server ['--port', '8000'] slmfleet_guard.middleware {environment.get('PYTHONPATH')}\n"
    assert done.stdout == expected


def test_a_spawned_process_finds_the_guard(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(
        "import multiprocessing\n"
        "def child():\n    from slmfleet_guard import Guard\n    print(__name__, Guard.__name__, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child)\n"
        "    process.start()\n    process.join()\n"
    )
    argv = [sys.executable, str(mounted(tmp_path) / "launch.py"), "server"]
    done = subprocess.run(argv, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("__mp_main__ Guard\n", "")


@pytest.mark.parametrize("file", sorted(SOURCE.glob("*.py")), ids=lambda file: file.name)
def test_every_file_is_python_3_9_with_only_the_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and node.level == 0
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
