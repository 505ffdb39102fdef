"""`python -m e2e.demo`: from nothing to a streamed answer of a real vLLM behind a Service."""
