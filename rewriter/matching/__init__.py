"""Matching the nodes of a file with the ops of a record."""
