"""Annotating files, stripping them, and carrying a hierarchy from one file to another."""
