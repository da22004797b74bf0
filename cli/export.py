"""`modelexport export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.exported import show_result
from cli.output import TextFormat, progress
from hierarchy.errors import UsageError
from hierarchy.injection import Inject
from hierarchy.tags import TagRules, TagStyle, TorchNN


def export(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    source: options.Source,
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="Where the file goes.")],
    *,
    record: options.RecordTarget = None,
    config: options.Config = None,
    exporter: options.Export = None,
    opset: options.Opset = None,
    task: options.Task = None,
    attention: options.Attention = None,
    input_text: options.InputText = None,
    input_shape: options.InputShape = None,
    dynamic: options.Dynamic = None,
    no_probe: options.NoProbe = False,
    trust_remote_code: options.TrustRemoteCode = False,
    plain: options.Plain = False,
    inject: options.Injections = [Inject.METADATA],  # noqa: B006 - typer copies it
    functions: options.Functions = None,
    min_nodes: options.MinNodes = 2,
    max_prototypes_per_class: options.MaxPrototypes = None,
    tag_style: options.Style = TagStyle.PATH,
    torch_nn: options.TorchModules = TorchNN.KEEP,
    depth: options.TagDepth = None,
    torch_keys: options.TorchKeys = False,
    report: options.Report = None,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Trace a model and write its ONNX file with the hierarchy in it, in one go."""
    if functions and Inject.FUNCTIONS not in inject:
        raise UsageError("--functions says what --inject functions folds: give that, too.")
    shown = report == options.STDOUT
    if shown and output_format is TextFormat.JSON:
        raise UsageError("--report - and --output-format json both want standard output.")
    if plain and (inject != [Inject.METADATA] or torch_keys):
        raise UsageError("--clean-onnx writes no hierarchy: leave out --inject and --torch-keys.")
    from hierarchy.export_config import (  # noqa: PLC0415 - for commands that trace alone
        parse_input,
        read_export_config,
    )

    wanted = read_export_config(config).overridden(
        exporter=exporter,
        opset=opset,
        task=task,
        attention=attention,
        input_text=input_text,
        dynamic=dynamic,
    )
    asked = dict(map(parse_input, input_shape or ()))
    from pipeline import Hierarchy, plan_source  # noqa: PLC0415 - onnx loads when it is needed
    from pipeline import export as run  # noqa: PLC0415
    from rewriter import FoldRules  # noqa: PLC0415

    hierarchy = Hierarchy(
        inject=() if plain else tuple(inject),
        rules=TagRules(tag_style, torch_nn, depth),
        fold_rules=FoldRules(tuple(functions or ["repeated"]), min_nodes, max_prototypes_per_class),
        torch_keys=torch_keys,
    )
    written = None if shown else report
    with progress(context):
        if dry_run:
            plan = plan_source(
                source,
                output,
                written,
                record=record,
                config=wanted,
                asked=asked,
                trust_remote_code=trust_remote_code,
                force=force,
            )
        else:
            result = run(
                source,
                output,
                config=wanted,
                asked=asked,
                hierarchy=hierarchy,
                record=record,
                report=written,
                probe=not no_probe,
                trust_remote_code=trust_remote_code,
                force=force,
            )
    if dry_run:
        show_result(context, plan, output_format)
        return
    if shown:
        sys.stdout.write(result.annotation.to_json().decode())
    show_result(context, result, output_format, stderr=shown)
    if strict and (result.annotation.unresolved or result.annotation.contradicted):
        raise typer.Exit(1)
