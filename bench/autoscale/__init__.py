"""The autoscaler's decisions against those of others, on public traces and a simulated fleet."""
