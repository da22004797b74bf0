"""A console for texts from files, which leaves a closed pipe to `cli.main`."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from modelexport.cli.visible_output import output_errors
from modelexport.support.visible_text import visible_line, visible_lines


class PipeConsole(Console):
    """A console for texts from files. It raises an error when nothing reads its output any more.

    No text is markup, and no character of a text reaches the terminal that a terminal would obey
    or hide. A string that is printed stays one line.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print a line; texts within it have no line feeds of their own."""
        lines = (visible_line(o) if isinstance(o, str) else o for o in objects)
        with output_errors():
            super().print(*lines, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments to print. This is the last step before colours are added."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment  # written by rich itself: the cursor of a progress bar
            else:
                yield segment._replace(text=visible_lines(segment.text))

    def on_broken_pipe(self) -> None:
        """Raise the error that Python raises. Rich would exit with 1."""
        raise BrokenPipeError
