"""Cutting modules out of a file: runnable files of their own, with their hierarchy."""
