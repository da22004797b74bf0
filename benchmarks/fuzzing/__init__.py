"""Damaged files for every command: how they are made, run and judged."""
