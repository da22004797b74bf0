"""The exporters: an adapter for each, and what they return."""
