"""Editing the graph of a file from Python, by module; only what an edit takes out is lost."""
