"""Single options and arguments that several commands have.

Each is a type for a command's parameter; the default stands in the command.
"""

from pathlib import Path
from typing import Annotated

import typer

from modelexport.hierarchy.choices import TextFormat

OneOrTwoFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE [B]",
        help="The annotated file, or a folder of parts; - for standard input. Two are shown side "
        "by side.",
    ),
]
AnnotatedFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The annotated file, or a folder of parts; - for standard input."
    ),
]
AnyFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The file, or a folder of parts; - for standard input."),
]
Source = Annotated[
    str,
    typer.Argument(
        help="Hugging Face folder or id, package.module:factory, file.py:factory, or a "
        "TorchScript file."
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="OUT.onnx", help="The file to write; - for standard output."
    ),
]
OutputFormat = Annotated[TextFormat, typer.Option(help="Format of the result.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Exit with 1 if a node is unresolved or pieces of evidence contradict."
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write every decision as JSON to this file; - for standard output."
    ),
]
RecordTarget = Annotated[
    Path | None,
    typer.Option(
        "--record", metavar="FILE", help="The record to write; OUT.trace.json by default."
    ),
]
RecordSource = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE",
        help="The trace record; - for standard input. Without it, the hierarchy that the file "
        "itself carries is used.",
    ),
]
CheckParts = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Run the whole file and each part without optimisations; exit with 1 if one bit of "
        "the outputs differs.",
    ),
]
Partly = Annotated[
    bool, typer.Option("--partly", help="Also fused nodes that do only some of the modules' work.")
]
OpenDimensions = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        metavar="NAME=8",
        help="Size of a dimension that the file leaves open, for counting; may be repeated.",
    ),
]
ShownModule = Annotated[
    str | None,
    typer.Option(
        "--module", metavar="PATH", help="Show only this module (path or tag) and those inside it."
    ),
]
ShownDepth = Annotated[
    int | None,
    typer.Option(
        "--depth", min=0, help="Show modules down to this many steps below the root or --module."
    ),
]

InheritFrom = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="ANNOTATED.onnx",
        help="An annotated file that this file was made from; use it in place of a record.",
    ),
]
