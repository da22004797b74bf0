"""Running a model as it is, and watching it."""
