"""A console that leaves a closed pipe to `cli.main`."""

from rich.console import Console


class PipeConsole(Console):
    """A console that raises when its reader has gone away. Rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Raise the error that Python raises."""
        raise BrokenPipeError
