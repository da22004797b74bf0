"""Running files in onnxruntime: sessions, feeding, and observing every value."""
