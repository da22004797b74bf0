"""The exporters, one adapter a file."""
