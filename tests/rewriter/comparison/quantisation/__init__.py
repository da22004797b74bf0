"""Tests of files of fewer bits."""
