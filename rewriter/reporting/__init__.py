"""A report of one or two files: one page that needs nothing else, to look at in a browser."""
