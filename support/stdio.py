"""Standard input or output in place of a file."""

from pathlib import Path

STDIO = Path("-")
"""What users write in place of a file's name."""
