"""What the exit codes of an engine's container mean.

Those of vLLM itself are the same in all releases from 0.11.0 to 0.33.0, as read from their sources
(entrypoints/launcher.py and openai/api_server.py, from 0.29.0 on in entrypoints/launchers), and as `make failures` sees
them of 0.32: 2 is argparse's, 1 is any error of the start, and 0 is a server that ends in order, as it does when it is
told to stop and when its engine process dies under it. SIGTERM is fatal before the server sets its handler (143),
except to the first process of a container. During the start it raises KeyboardInterrupt (130), which 0.32 loses more
often than not: it starts all the same, or runs into SIGKILL (137). What changed is what SIGTERM does to running
requests: up to 0.17.1 they are cut off, since 0.18.0 they have --shutdown-timeout. Codes above 128 are 128 and the
number of a signal.
"""

from typing import Final

_MEANING: Final = {
    0: "ended by itself (vLLM exits 0 when its engine process dies while it serves)",
    1: "stopped with an error",
    2: "refused its arguments",
    130: "was told to stop while it started",
    132: "used an instruction that this CPU lacks (SIGILL; take an image for older CPUs, or nodes with newer ones)",
    134: "aborted in compiled code (SIGABRT)",
    135: "ran out of shared memory or of a mapped file (SIGBUS; /dev/shm is full, or the disk below the weights is)",
    137: "was killed (SIGKILL: the node ran out of memory, or a probe failed and the engine did not stop when told to)",
    139: "crashed in compiled code (SIGSEGV)",
    143: "was told to stop while it started",
}


def explain_exit(code: int, kubelet_reason: str) -> str:
    """What an exit code means, where the log says nothing."""
    if kubelet_reason == "OOMKilled":
        return "was killed because it used more memory than its limit (raise spec.pod.resources.limits.memory)"
    return _MEANING.get(code, "stopped")
