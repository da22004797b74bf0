"""`modelexport trace`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import TextFormat, console, print_json, talk
from hierarchy.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from tracer import RecordResult, TraceResult


class Exporter(StrEnum):
    """Who writes the plain file."""

    AUTO = "auto"
    DYNAMO = "dynamo"
    TORCHSCRIPT = "torchscript"
    EAGER = "eager"


def trace(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="Hugging Face folder or id, package.module:factory, or file.py:factory."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Argument(metavar="OUT.onnx", help="Where the file goes; none with --record-only."),
    ] = None,
    *,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the record goes; OUT.trace.json by default."),
    ] = None,
    record_only: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a record only, for a model whose ONNX file exists already."
        ),
    ] = None,
    exporter: Annotated[
        Exporter,
        typer.Option(
            help="auto takes the first that works; eager, with --record-only, asks none and runs "
            "the model."
        ),
    ] = Exporter.AUTO,
    opset: Annotated[int, typer.Option(min=7, help="Opset of the default domain.")] = 17,
    task: Annotated[
        str | None, typer.Option(help="Task of a Hugging Face model (text-classification).")
    ] = None,
    input_text: Annotated[
        str | None, typer.Option(help="What the folder's tokenizer makes inputs from.")
    ] = None,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=1x8", help="Shape of an input, a dtype behind a colon."),
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Make every axis of every input dynamic.")
    ] = False,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Leave the values' fingerprints out.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the folder run its own code.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    output_format: Annotated[
        TextFormat, typer.Option(help="How to print the result.")
    ] = TextFormat.TEXT,
) -> None:
    """Export a model to plain ONNX and record which module each node came from."""
    try:
        import tracer  # noqa: PLC0415 - torch loads only here
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"trace needs {error.name}: pip install 'modelexport[trace]'."
        ) from error
    target = _target(output, record, record_only, exporter)
    shapes = dict(tracer.parse_shape(text) for text in input_shape or ())
    tracer.check_targets(output, record_only or record, force=force)
    loaded = tracer.load(
        source,
        task=task,
        request=tracer.InputRequest(input_text, shapes),
        trust_remote_code=trust_remote_code,
    )
    run = tracer.record if record_only else partial(tracer.trace, record=record)
    result = run(
        loaded.model,
        loaded.inputs,
        target,
        exporter=exporter.value,
        opset=opset,
        dynamic=dynamic,
        probe=not no_probe,
        force=force,
        origin=loaded.origin,
    )
    if output_format is TextFormat.JSON:
        print_json(_summary(result))
    elif not talk(context).quiet:
        _show(result)


def _target(
    output: Path | None, record: Path | None, record_only: Path | None, exporter: Exporter
) -> Path:
    """The file that is asked for: a model, or just its record."""
    if record_only is not None and (output is not None or record is not None):
        raise UsageError("--record-only writes one file: leave out OUT.onnx and --record.")
    if record_only is None and exporter is Exporter.EAGER:
        raise UsageError("--exporter eager writes no ONNX file: it needs --record-only.")
    found = output or record_only
    if found is None:
        raise UsageError("trace needs OUT.onnx, or --record-only to write a record alone.")
    return found


def _summary(result: "TraceResult | RecordResult") -> dict[str, object]:
    ops = result.record.ops
    written = getattr(result, "onnx_path", None)
    return {
        "onnx": None if written is None else str(written),
        "record": str(result.record_path),
        "exporter": result.record.source.exporter,
        "opset": result.record.source.opset,
        "modules": len(result.record.modules),
        "nodes": len(ops),
        "scoped": sum(op.module is not None for op in ops),
        "notes": list(result.notes),
    }


def _show(result: "TraceResult | RecordResult") -> None:
    found = _summary(result)
    out = console()
    if found["onnx"] is not None:
        out.print(
            f"{found['onnx']}: {found['nodes']} nodes of {found['modules']} modules "
            f"({found['exporter']} exporter, opset {found['opset']})"
        )
    out.print(f"{found['record']}: {found['scoped']} of {found['nodes']} nodes have their module")
    for note in result.notes:
        out.print(f"  note: {note}")
    if result.record.probe.missing:
        out.print(f"  note: no fingerprints ({result.record.probe.missing})")
