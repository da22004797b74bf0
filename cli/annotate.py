"""`modelexport annotate`."""

from pathlib import Path
from typing import Annotated

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.options import DEFAULTS
from modelexport.cli.output import TextFormat, console, print_json, progress, talk
from modelexport.cli.render_decisions import (
    exit_if_open,
    explain_decision,
    print_report,
    show_decided,
)
from modelexport.cli.stdio_files import readable, writable
from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions, MatchOptions
from modelexport.hierarchy.choices import MatchEvidence
from modelexport.hierarchy.tags import TagRules


def annotate(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(metavar="IN.onnx", help="The file to annotate, - for standard input."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.onnx",
            help="Where the result goes, - for standard output; needless to --explain.",
        ),
    ] = None,
    record: options.RecordSource = None,
    inherit_from: options.InheritFrom = None,
    evidence: options.Evidence = None,
    no_run: options.NoRun = False,
    reference: options.Reference = None,
    probe: options.ProbeInputs = None,
    custom_ops: options.CustomOps = None,
    explain: options.Explain = None,
    inject: options.Injections = list(DEFAULTS.inject),  # noqa: B006 - typer copies it
    functions: options.Functions = None,
    min_nodes: options.MinNodes = DEFAULTS.fold_rules.min_nodes,
    max_prototypes_per_class: options.MaxPrototypes = DEFAULTS.fold_rules.max_prototypes,
    tag_style: options.Style = DEFAULTS.rules.style,
    torch_nn: options.TorchModules = DEFAULTS.rules.torch_nn,
    depth: options.TagDepth = DEFAULTS.rules.depth,
    torch_keys: options.TorchKeys = DEFAULTS.torch_keys,
    replace_keys: options.ReplaceKeys = DEFAULTS.replace_keys,
    report: options.Report = None,
    strict: options.Strict = False,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Write a copy of an ONNX file in which every node knows its module."""
    if output is None and not explain:
        raise UsageError(
            "annotate needs -o OUT.onnx, or --explain NODE to decide and write nothing."
        )
    fold_rules = option_checks.folding(inject, functions, min_nodes, max_prototypes_per_class)
    option_checks.one_reader(**{"IN.onnx": model, "--record": record})
    option_checks.one_writer(output, report, output_format)
    from modelexport.rewriter import annotate as run  # noqa: PLC0415
    from modelexport.rewriter import find_decisions  # noqa: PLC0415 - onnx loads when needed

    kinds = frozenset(evidence or MatchEvidence)
    annotate_options = AnnotateOptions(
        matching=MatchOptions(kinds, not no_run, probe, reference, tuple(custom_ops or ())),
        inject=tuple(inject),
        rules=TagRules(tag_style, torch_nn, depth),
        fold_rules=fold_rules,
        torch_keys=torch_keys,
        replace_keys=replace_keys,
    )
    with writable(output) as target, progress(context), readable(model) as path:
        result = run(
            path,
            record,
            target,
            inherit_from=inherit_from,
            options=annotate_options,
            force=force,
            report=option_checks.report_file(report),
        )
    told = [decision for name in explain or () for decision in find_decisions(result, name)]
    if report == options.STDOUT:
        print_report(result)
    if output_format is TextFormat.JSON:
        print_json(told if explain else result)
    elif not talk(context).quiet:
        out = console(stderr=options.STDOUT in {output, report})
        show_decided(result, str(output or model), out)
        for decision in told:
            explain_decision(decision, out)
    if strict:
        exit_if_open(result)
