"""Where models and their inputs come from, and what they can be called with."""
