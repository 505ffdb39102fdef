"""Minutes of random changes and faults, then everything must have converged: `make test-long`."""
