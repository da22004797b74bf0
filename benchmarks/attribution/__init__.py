"""The parts of `profile_attribution.py`: the models, and the forms in which they are profiled."""
