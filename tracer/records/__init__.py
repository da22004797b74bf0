"""Building a trace record from what the exporter, the runtime and the eager run gave."""
