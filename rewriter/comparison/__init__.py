"""Comparing two files of a model, module by module: their graphs, and what they compute."""
