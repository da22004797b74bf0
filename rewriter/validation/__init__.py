"""Checking an annotated file: its tags, its graph, and whether it runs as the plain file does."""
