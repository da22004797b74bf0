"""Tests of a run in torch against a file."""
