"""The engine guard: this folder is mounted into the engine's container as the package `slmfleet_guard`.

vLLM loads it with `--middleware slmfleet_guard.Guard`. It runs under the engine's Python (3.9 or newer) with nothing
but the standard library, and imports nothing else of slmfleet.
"""

from .middleware import Guard

__all__ = ["Guard"]
