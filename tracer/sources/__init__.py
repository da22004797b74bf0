"""Models and inputs: where they come from, and how a model is called."""
