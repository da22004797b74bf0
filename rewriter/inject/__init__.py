"""Writing the hierarchy into a model: one module for each way to write it."""
