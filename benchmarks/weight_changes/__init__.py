"""The parts of `numeric_compare.py`: models, their files, and weights that are changed in these."""
