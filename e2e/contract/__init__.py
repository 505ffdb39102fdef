"""What the simulator and the real vLLM have in common; both run every test."""
