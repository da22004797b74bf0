"""Every model type of transformers: shrunk, built, traced, annotated and judged."""
