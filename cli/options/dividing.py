"""Into which parts `split` divides a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from modelexport.cli.part_folders import is_folder
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import SplitBalance


@dataclass(frozen=True)
class DivisionOptions:
    """The options of dividing a file."""

    parts: Annotated[
        int | None, typer.Option(min=1, help="Number of parts, of about equal cost.")
    ] = None
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="MODULES;MODULES…",
            help="The modules of each part: 'embeddings,layer.0-2;layer.3-5'.",
        ),
    ] = None
    balance: Annotated[
        SplitBalance, typer.Option(help="The cost that is balanced with --parts.")
    ] = SplitBalance.MACS
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="PROFILE.json",
            help="For --balance time: JSON of `modelexport profile`. Without it, the file runs.",
        ),
    ] = None

    def check(self, model: Path, *, no_run: bool) -> None:
        """Refuse a profile that is of no use, and times without a profile or a run.

        Args:
            model: The file, or the folder of parts.
            no_run: Whether the file must not run.

        Raises:
            UsageError: The options do not go together.
        """
        by_time = self.balance is SplitBalance.TIME
        if self.profile is not None and not by_time:
            raise UsageError("--profile is for --balance time.")
        if self.profile is not None and is_folder(model):
            raise UsageError(f"{model}: --profile is for one file of this folder.")
        if no_run and self.profile is None and by_time:
            raise UsageError("--balance time runs the file: give --profile, or leave out --no-run.")

    def division(self) -> int | list[list[str]]:
        """The number of parts, or the modules of each part.

        Raises:
            UsageError: Both are given, or neither; or the name of a module is missing.
        """
        if (self.parts is None) == (self.stages is None):
            raise UsageError("split needs --parts or --stages, and not both.")
        if self.stages is None:
            return self.parts or 1
        division = [[name.strip() for name in stage.split(",")] for stage in self.stages.split(";")]
        if not all(name for stage in division for name in stage):
            raise UsageError(f"--stages {self.stages!r}: the name of a module is missing.")
        return division
