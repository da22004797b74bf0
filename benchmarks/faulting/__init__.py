"""Faults while a command runs: how they are made, and what must hold after them."""
