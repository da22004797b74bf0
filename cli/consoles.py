"""The console that text is printed on."""

from rich.console import Console


class PipeConsole(Console):
    """Leaves a reader that went away to `cli.main`; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Say it as Python does."""
        raise BrokenPipeError
