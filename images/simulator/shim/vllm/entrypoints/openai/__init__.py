"""Makes the simulator answer to the command that starts vLLM."""
