import subprocess
import sys


def test_the_simulator_needs_none_of_the_operators_libraries() -> None:
    heavy = ("kopf", "kubernetes", "pydantic", "yaml", "httpx", "rich", "aiohttp")
    code = f"import sys, slmfleet.simulator.lifecycle; print([m for m in {heavy!r} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, env={"PYTHONPATH": "operator"}, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
