"""slmfleet: a Kubernetes operator that runs fleets of small language models on vLLM."""

__version__ = "0.1.0"
