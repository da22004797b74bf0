"""What needs tracing and annotating both: batch runs. Torch loads only where a model is traced."""
