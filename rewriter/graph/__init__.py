"""ONNX graphs, indexed: which nodes produce and consume each value, and what initializers hold."""
