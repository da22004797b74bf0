"""The options of all commands, each defined once: one name, one help text, one meaning.

A command's parameter is annotated with one of these types; its default stands in the command.
Options that trace and export share with an export configuration are `None` when they are not
given, so that the configuration can speak.
"""

from pathlib import Path
from typing import Annotated

import typer

from modelexport.cli.output import TextFormat
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import (
    Inject,
    MatchEvidence,
    RecordExporter,
    TagStyle,
    TorchNN,
)

STDOUT = Path("-")
"""Standard input or output in place of a file."""

_TRACING, _MATCHING, _HIERARCHY = "Tracing", "Matching", "Hierarchy"


DEFAULTS = AnnotateOptions()
"""Where the defaults of the options of annotating come from."""


# What a command works on.

AnnotatedFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The annotated file, - for standard input.")
]
Source = Annotated[
    str,
    typer.Argument(help="Hugging Face folder or id, package.module:factory, or file.py:factory."),
]

# What every command has where it makes sense.

Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
OutputFormat = Annotated[TextFormat, typer.Option(help="How to print the result.")]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="OUT.onnx", help="Where the result goes, - for standard output."
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Exit with 1 when a node is unresolved or evidence contradicts."),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write every decision as JSON; - is standard output, for it alone."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be exported, and export nothing.")
]

# Which modules are shown.

ShownModule = Annotated[
    str | None,
    typer.Option(
        "--module", metavar="PATH", help="Show this module and what is below it: path or tag."
    ),
]
ShownDepth = Annotated[
    int | None, typer.Option("--depth", min=0, help="Show modules down to this many steps.")
]

# The record.

RecordTarget = Annotated[
    Path | None,
    typer.Option(
        "--record", metavar="FILE", help="Where the record goes; OUT.trace.json by default."
    ),
]
RecordSource = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE",
        help="Trace record, - for standard input; without it, what the file itself carries is "
        "used.",
    ),
]
RecordOnly = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write a record only, for a model whose ONNX file exists already."
    ),
]

# How a model is traced.

Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Export configuration (.json, .toml, .yaml; - for JSON on standard input); options "
        "given here win over it.",
        rich_help_panel=_TRACING,
    ),
]
Export = Annotated[
    RecordExporter | None,
    typer.Option(
        "--exporter",
        "--strategy",
        help="auto, the default, takes the first that works; htp is what earlier tools called "
        "torchscript; eager, for trace --record-only, asks none and runs the model.",
        rich_help_panel=_TRACING,
    ),
]
Opset = Annotated[
    int | None,
    typer.Option(
        min=7,
        help="Opset of the default domain, 17 by default.",
        rich_help_panel=_TRACING,
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="Task of a Hugging Face model (text-classification).", rich_help_panel=_TRACING
    ),
]
Attention = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Attention implementation of a transformers model (eager, sdpa).",
        rich_help_panel=_TRACING,
    ),
]
InputText = Annotated[
    str | None,
    typer.Option(help="What the folder's tokenizer makes inputs from.", rich_help_panel=_TRACING),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=1x8",
        help="Shape of an input, a dtype behind a colon; may be repeated.",
        rich_help_panel=_TRACING,
    ),
]
Dynamic = Annotated[
    bool | None,
    typer.Option(
        "--dynamic/--no-dynamic",
        help="Make every axis of every input dynamic; none is by default.",
        rich_help_panel=_TRACING,
    ),
]
NoProbe = Annotated[
    bool,
    typer.Option(
        "--no-probe", help="Leave the values' fingerprints out.", rich_help_panel=_TRACING
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Let the folder run its own code.",
        rich_help_panel=_TRACING,
    ),
]

# How a file is matched with a record.

InheritFrom = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="ANNOTATED.onnx",
        help="An annotated file that this one descends from, in place of a record.",
        rich_help_panel=_MATCHING,
    ),
]
Evidence = Annotated[
    list[MatchEvidence] | None,
    typer.Option(
        help="Use only this kind of evidence; may be repeated. All by default.",
        rich_help_panel=_MATCHING,
    ),
]
NoRun = Annotated[
    bool,
    typer.Option(
        "--no-run",
        help="Never execute the file: no values, only what it holds.",
        rich_help_panel=_MATCHING,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="PLAIN.onnx",
        help="The file that was traced, to be run beside this one.",
        rich_help_panel=_MATCHING,
    ),
]
ProbeInputs = Annotated[
    Path | None,
    typer.Option(
        "--probe",
        metavar="INPUTS.npz",
        help="Inputs to run both on, by name; needs --reference or --from.",
        rich_help_panel=_MATCHING,
    ),
]
CustomOps = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="LIBRARY",
        help="Custom operator library to load into onnxruntime; may be repeated.",
        rich_help_panel=_MATCHING,
    ),
]
Explain = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NODE",
        help="Show how this node was decided: its name, or #7 for the 7th; may be repeated.",
        rich_help_panel=_MATCHING,
    ),
]

# How the hierarchy is written.

Injections = Annotated[
    list[Inject],
    typer.Option(
        help="Where the hierarchy is written; may be repeated.", rich_help_panel=_HIERARCHY
    ),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--clean-onnx",
        "--no-hierarchy-attrs",
        help="Write the plain file, and keep the record beside it.",
        rich_help_panel=_HIERARCHY,
    ),
]
Functions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="repeated|nested|all|PATTERN",
        help="What --inject functions folds: outermost repeated calls (the default), these "
        "and the repeated ones inside, all calls, or those that a pattern of module paths "
        "('*.layer.*') or classes ('class:*Layer') matches; may be repeated.",
        rich_help_panel=_HIERARCHY,
    ),
]
MinNodes = Annotated[
    int,
    typer.Option(
        min=1,
        help="Calls with fewer nodes than this are not folded.",
        rich_help_panel=_HIERARCHY,
    ),
]
MaxPrototypes = Annotated[
    int | None,
    typer.Option(
        "--max-prototypes-per-class",
        min=1,
        help="Fold only the most called structures of a class.",
        rich_help_panel=_HIERARCHY,
    ),
]
Style = Annotated[
    TagStyle,
    typer.Option(
        "--tag-style", help="Steps of a tag by module path or by class.", rich_help_panel=_HIERARCHY
    ),
]
TorchModules = Annotated[
    TorchNN,
    typer.Option(
        "--torch-nn",
        help="Whether nodes of torch's own modules keep their tag.",
        rich_help_panel=_HIERARCHY,
    ),
]
TagDepth = Annotated[
    int | None,
    typer.Option(
        "--depth",
        min=0,
        help="Cut tags this many steps below the root.",
        rich_help_panel=_HIERARCHY,
    ),
]
TorchKeys = Annotated[
    bool,
    typer.Option(
        "--torch-keys",
        help="Write the keys of torch's own exporter too.",
        rich_help_panel=_HIERARCHY,
    ),
]
ReplaceKeys = Annotated[
    bool,
    typer.Option(
        "--replace-keys",
        help="Overwrite keys that others wrote; strip cannot undo it.",
        rich_help_panel=_HIERARCHY,
    ),
]
