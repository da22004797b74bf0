"""Selecting nodes by module, class and operator, in the form that other tools take."""
