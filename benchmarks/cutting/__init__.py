"""The parts of `extraction.py`: files of each form and level, their checks, and the page."""
