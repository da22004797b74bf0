"""Models and inputs: where they come from, how a model is called and left as it was."""
