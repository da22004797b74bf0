"""The parts of `benchmarks/agreement.py`: models, transformations, truth, and the score."""
