"""The chart, as helm renders it."""
