"""Everything that tests use and that is made by code: models, their inputs, and the truth."""
