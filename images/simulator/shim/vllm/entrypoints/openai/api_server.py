"""Makes the simulator answer to the command that starts vLLM."""

from runpy import run_module

run_module("slmfleet.simulator", run_name="__main__", alter_sys=True)
