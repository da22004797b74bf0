"""How a model is traced.

Options that an export configuration can also give are `None` when the user does not give them: the
configuration decides then.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypedDict

import typer

from modelexport.cli.options.common import Force, OutputFormat
from modelexport.cli.options.sources import (
    Attention,
    InputShapes,
    InputText,
    Task,
    TrustRemoteCode,
    read_input_shapes,
)
from modelexport.hierarchy.choices import RecordExporter, TextFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.export_config import InputSpec, TraceOptions


@dataclass(frozen=True)
class TracingOptions:
    """The options of tracing."""

    topic: ClassVar = "Tracing"

    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Export configuration (.json, .toml, .yaml; - for JSON on standard input). "
            "Options of the command win over it.",
        ),
    ] = None
    exporter: Annotated[
        RecordExporter | None,
        typer.Option(
            "--exporter",
            "--strategy",
            help="Exporter of the file. auto (the default) uses the first that works; htp is the "
            "earlier name of torchscript; eager, for trace --record-only, uses none and runs the "
            "model.",
        ),
    ] = None
    opset: Annotated[
        int | None, typer.Option(min=7, help="Opset of the default domain; 17 by default.")
    ] = None
    task: Task = None
    attention: Attention = None
    input_text: InputText = None
    input_shape: InputShapes = None
    dynamic: Annotated[
        bool | None,
        typer.Option(
            "--dynamic/--no-dynamic",
            help="Make all axes of all inputs dynamic; by default none is.",
        ),
    ] = None
    with_past: Annotated[
        bool | None,
        typer.Option(
            "--with-past/--no-past",
            help="Give a decoder the keys and values of the tokens before as inputs "
            "(past_key_values.0.key), and the new ones as outputs (present.0.key). A --task "
            "that ends with -with-past says the same.",
        ),
    ] = None
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="Write the encoder, the decoder and the decoder with past of a generating model "
            "as files of their own into the folder OUT, with a manifest.",
        ),
    ] = False
    base_model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Base model of an adapter (LoRA), in place of the one that the adapter names.",
        ),
    ] = None
    custom_translation: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:TABLE",
            help="Translations of custom operators for the dynamo exporter: a dictionary of "
            "operators of torch and onnxscript functions.",
        ),
    ] = None
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Leave fingerprints of values out of the record.")
    ] = False
    stamp: Annotated[
        bool,
        typer.Option(
            "--stamp/--no-stamp",
            help="Of many equal layers, export three and copy their nodes for the others; the "
            "result is checked against the model. Deep models are exported many times faster.",
        ),
    ] = True
    no_weights: Annotated[
        bool,
        typer.Option(
            "--no-weights",
            help="Build the model on torch's meta device and load no weights: the file has the "
            "structure, and its initializers have no values.",
        ),
    ] = False
    trust_remote_code: TrustRemoteCode = False

    def trace_options(self) -> "TraceOptions":
        """The options as `trace_source` takes them; they win over the configuration.

        Raises:
            SettingsError: The configuration cannot be read.
        """
        from modelexport.hierarchy.export_config import (  # noqa: PLC0415 - only commands that trace need it
            TraceOptions,
            read_export_config,
        )

        return TraceOptions.from_config(
            read_export_config(self.config),
            exporter=self.exporter,
            opset=self.opset,
            task=self.task,
            attention=self.attention,
            input_text=self.input_text,
            dynamic=self.dynamic,
            custom_translation=self.custom_translation,
            with_past=self.with_past,
            base_model=self.base_model,
            probe=not self.no_probe,
            stamp=self.stamp,
            trust_remote_code=self.trust_remote_code,
            weights=not self.no_weights,
        )

    def input_specs(self) -> "dict[str, InputSpec]":
        """The shapes and dtypes of --input-shape, see `read_input_shapes`."""
        return read_input_shapes(self.input_shape)


@dataclass(frozen=True)
class WritingOptions:
    """What `trace` and `export` write and print."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be exported, and export nothing.")
    ] = False
    force: Force = False
    output_format: OutputFormat = TextFormat.TEXT


class SourceKeywords(TypedDict):
    """How a source is traced, as the functions of `modelexport` take it."""

    options: "TraceOptions"
    input_specs: "dict[str, InputSpec]"
    force: bool


@dataclass(frozen=True)
class SourceTask:
    """What `trace` or `export` is called to do.

    Attributes:
        context: Of the command.
        source: The model's source.
        output: The ONNX file, or the folder of the parts; None for a record only.
        tracing: How the model is traced.
        writing: What is written and printed.
    """

    context: typer.Context
    source: str
    output: Path | None
    tracing: TracingOptions
    writing: WritingOptions

    def keywords(self) -> SourceKeywords:
        """The options as the functions of `modelexport` take them."""
        return {
            "options": self.tracing.trace_options(),
            "input_specs": self.tracing.input_specs(),
            "force": self.writing.force,
        }
