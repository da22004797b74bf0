"""Annotating files, stripping them, and what the other commands share: an opened model file."""
