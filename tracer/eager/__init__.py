"""Running a model eagerly: which module runs, which operators it calls, and what they compute."""
