"""Ways to write the hierarchy into a file, one a module."""
