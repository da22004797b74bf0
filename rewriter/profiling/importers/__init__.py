"""Readers of the profiles of runtimes: one file for each format, recognised by its content."""
