"""Profiles by module: what a runtime measured, joined with the hierarchy."""
