"""Building a record from the results of the exporter, of onnxruntime and of the eager run."""
