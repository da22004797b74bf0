"""A file that has the module tree and no tags: names are read against the tree."""
