"""How a file is matched with a record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from modelexport.cli.options.common import InheritFrom
from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import MatchEvidence
from modelexport.support.byte_sizes import read_byte_size

_TOPIC = "Matching"

CustomOps = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="LIBRARY",
        help="Custom operator library that onnxruntime loads; may be repeated.",
        rich_help_panel=_TOPIC,
    ),
]
NoRun = Annotated[
    bool,
    typer.Option(
        "--no-run",
        help="Never run the file: compare what it contains, and no values.",
        rich_help_panel=_TOPIC,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="How much memory the values of the file may take at a time (2GB, 512MiB); a file "
        "that computes more runs several times, for a part of its values each time.",
        rich_help_panel=_TOPIC,
    ),
]
DEFAULT_MEMORY_SIZE = "1GiB"
Explain = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NODE",
        help="Explain the decision about this node: its name, or #7 for the node at position 7; "
        "may be repeated.",
        rich_help_panel=_TOPIC,
    ),
]


@dataclass(frozen=True)
class MatchingOptions:
    """The options of matching."""

    topic: ClassVar = _TOPIC

    inherit_from: InheritFrom = None
    evidence: Annotated[
        list[MatchEvidence] | None,
        typer.Option(help="Use only this kind of evidence; may be repeated. All kinds by default."),
    ] = None
    no_run: NoRun = False
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAIN.onnx", help="The file that was traced, to run together with this file."
        ),
    ] = None
    probe: Annotated[
        Path | None,
        typer.Option(
            "--probe",
            metavar="INPUTS.npz",
            help="Inputs by name to run both files on; needs --reference or --from.",
        ),
    ] = None
    custom_ops: CustomOps = None
    memory: Memory = DEFAULT_MEMORY_SIZE

    def match_options(self) -> MatchOptions:
        """The options as `annotate` takes them."""
        return MatchOptions(
            evidence=frozenset(self.evidence or MatchEvidence),
            run=not self.no_run,
            probe=self.probe,
            reference=self.reference,
            libraries=tuple(self.custom_ops or ()),
            memory=memory_bytes(self.memory),
        )


def memory_bytes(memory: str) -> int:
    """The bytes of `--memory`.

    Raises:
        UsageError: It is no size.
    """
    size = read_byte_size(memory)
    if size is None:
        raise UsageError(f"--memory {memory}: write a size such as 2GB or 512MiB.")
    if not size:
        raise UsageError("--memory takes at least one byte.")
    return size
