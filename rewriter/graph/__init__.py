"""ONNX graphs, indexed: who produces and who consumes each value, and who owns each weight."""
