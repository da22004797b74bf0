"""Aligning two graphs: seeds, what grows from them, and what their neighbours enclose."""
