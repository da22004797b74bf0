"""Running files in onnxruntime: sessions, their inputs, and a fingerprint of every value."""
