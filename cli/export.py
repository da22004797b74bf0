"""`modelexport export`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.options import DEFAULTS
from modelexport.cli.output import TextFormat, progress
from modelexport.cli.render_decisions import exit_if_open, print_report
from modelexport.cli.render_export import show_result
from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.tags import TagRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.hierarchy.trace_summary import TracePlan
    from modelexport.pipeline import ExportResult


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
    inject: options.Injections = list(DEFAULTS.inject),  # noqa: B006 - typer copies it
    functions: options.Functions = None,
    min_nodes: options.MinNodes = DEFAULTS.fold_rules.min_nodes,
    max_prototypes_per_class: options.MaxPrototypes = DEFAULTS.fold_rules.max_prototypes,
    tag_style: options.Style = DEFAULTS.rules.style,
    torch_nn: options.TorchModules = DEFAULTS.rules.torch_nn,
    depth: options.TagDepth = DEFAULTS.rules.depth,
    torch_keys: options.TorchKeys = DEFAULTS.torch_keys,
    report: options.Report = None,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Trace a model and write its ONNX file with the hierarchy in it, in one go."""
    fold_rules = option_checks.folding(inject, functions, min_nodes, max_prototypes_per_class)
    option_checks.named(**{"OUT.onnx": output, "--record": record})
    option_checks.one_writer(None, report, output_format)
    written = option_checks.report_file(report)
    if plain and (tuple(inject) != DEFAULTS.inject or torch_keys):
        raise UsageError("--clean-onnx writes no hierarchy: leave out --inject and --torch-keys.")
    wanted, shapes = option_checks.tracing(
        config,
        input_shape,
        exporter=exporter,
        opset=opset,
        task=task,
        attention=attention,
        input_text=input_text,
        dynamic=dynamic,
    )
    from modelexport.pipeline import export as export_source  # noqa: PLC0415
    from modelexport.pipeline import plan_source  # noqa: PLC0415 - onnx loads here

    hierarchy = AnnotateOptions(
        inject=() if plain else tuple(inject),
        rules=TagRules(tag_style, torch_nn, depth),
        fold_rules=fold_rules,
        torch_keys=torch_keys,
    )
    files = source, output
    run: Callable[..., TracePlan | ExportResult] = partial(
        export_source, *files, hierarchy=hierarchy, report=written, probe=not no_probe
    )
    if dry_run:
        run = partial(plan_source, *files, written)
    with progress(context):
        result = run(
            record=record,
            config=wanted,
            asked=shapes,
            trust_remote_code=trust_remote_code,
            force=force,
        )
    if dry_run:
        show_result(context, result, output_format)
        return
    decided = cast("ExportResult", result).annotation
    shown = report == options.STDOUT
    if shown:
        print_report(decided)
    show_result(context, result, output_format, stderr=shown)
    if strict:
        exit_if_open(decided)
