"""Standard input or output in place of a file."""

from pathlib import Path

STDIO = Path("-")
"""What users write in place of a file's name."""


def input_name(path: Path) -> str:
    """The name of an input in messages.

    >>> input_name(Path("plan.toml")), input_name(STDIO)
    ('plan.toml', 'standard input')
    """
    return "standard input" if path == STDIO else str(path)
