"""Editing the graph of a file from Python, by module. Everything that no edit removes stays."""
