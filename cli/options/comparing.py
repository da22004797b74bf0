"""How `compare` runs what it compares."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.options.matching import (
    DEFAULT_MEMORY_SIZE,
    CustomOps,
    Memory,
    NoRun,
    memory_bytes,
)
from modelexport.errors import UsageError

if TYPE_CHECKING:
    from modelexport.rewriter import Numeric


@dataclass(frozen=True)
class NumericOptions:
    """The options of running two sides on the same inputs."""

    numeric: Annotated[
        bool,
        typer.Option(
            "--numeric", help="Run both on the same inputs, and show where values diverge."
        ),
    ] = False
    probe: Annotated[
        Path | None,
        typer.Option(
            "--probe",
            "--inputs",
            metavar="INPUTS.npz",
            help="Inputs by name for --numeric; by default those of the record, or random ones.",
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Relative distance from which values diverge under --numeric; 0.0001 by default.",
        ),
    ] = None
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="With --numeric: measure which modules to leave out of quantisation, and in what "
            "order.",
        ),
    ] = False
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FLOAT.onnx",
            help="The float file for --suggest, where the first side is a model in torch.",
        ),
    ] = None
    custom_ops: CustomOps = None
    no_run: NoRun = False
    memory: Memory = DEFAULT_MEMORY_SIZE

    def check(self) -> None:
        """Refuse options that need a run without one, and a run that is forbidden.

        Raises:
            UsageError: The options do not go together.
        """
        needs_run = self.probe is not None or self.tolerance is not None or self.suggest
        if (needs_run or self.custom_ops) and not self.numeric:
            raise UsageError("--probe, --tolerance, --suggest and --custom-ops need --numeric.")
        if self.numeric and self.no_run:
            raise UsageError("--numeric cannot be used with --no-run: it runs both files.")

    def memory_bytes(self) -> int:
        """The limit of --memory.

        Raises:
            UsageError: It is no size.
        """
        return memory_bytes(self.memory)

    def settings(self) -> "Numeric":
        """The options as the functions of `modelexport` take them."""
        defaults = modelexport.Numeric()
        return modelexport.Numeric(
            probe=self.probe,
            tolerance=defaults.tolerance if self.tolerance is None else self.tolerance,
            libraries=tuple(self.custom_ops or ()),
            suggest=self.suggest,
        )
