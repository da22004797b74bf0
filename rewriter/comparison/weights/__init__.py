"""Weights of a file against those of its reference: which of them are more than rounded."""
