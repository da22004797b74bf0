"""Tests of comparing weights."""
