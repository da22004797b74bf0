"""Building a record from what the exporter, onnxruntime and the eager run gave."""
