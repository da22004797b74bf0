"""Choosing nodes by module, class and operator, and telling other tools which they are."""
