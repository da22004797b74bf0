"""A run in torch against an ONNX file: what each module returned, and what the file holds there."""
