"""How a model is traced.

Options that an export configuration can also give are `None` when the user does not give them: the
configuration decides then.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelexport.cli.options.sources import (
    attention_option,
    input_shape_option,
    input_text_option,
    task_option,
    trust_remote_code_option,
)
from modelexport.hierarchy.choices import RecordExporter

if TYPE_CHECKING:
    from modelexport.hierarchy.export_config import InputSpec, TraceOptions

_TOPIC = "Tracing"


@dataclass(frozen=True)
class TracingOptions:
    """The options of tracing."""

    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Export configuration (.json, .toml, .yaml; - for JSON on standard input). "
            "Options of the command win over it.",
            rich_help_panel=_TOPIC,
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
            rich_help_panel=_TOPIC,
        ),
    ] = None
    opset: Annotated[
        int | None,
        typer.Option(
            min=7, help="Opset of the default domain; 17 by default.", rich_help_panel=_TOPIC
        ),
    ] = None
    task: Annotated[str | None, task_option(_TOPIC)] = None
    attention: Annotated[str | None, attention_option(_TOPIC)] = None
    input_text: Annotated[str | None, input_text_option(_TOPIC)] = None
    input_shape: Annotated[list[str] | None, input_shape_option(_TOPIC)] = None
    dynamic: Annotated[
        bool | None,
        typer.Option(
            "--dynamic/--no-dynamic",
            help="Make all axes of all inputs dynamic; by default none is.",
            rich_help_panel=_TOPIC,
        ),
    ] = None
    with_past: Annotated[
        bool | None,
        typer.Option(
            "--with-past/--no-past",
            help="Give a decoder the keys and values of the tokens before as inputs "
            "(past_key_values.0.key), and the new ones as outputs (present.0.key). A --task "
            "that ends with -with-past says the same.",
            rich_help_panel=_TOPIC,
        ),
    ] = None
    parts: Annotated[
        bool,
        typer.Option(
            "--parts",
            help="Write the encoder, the decoder and the decoder with past of a generating model "
            "as files of their own into the folder OUT, with a manifest.",
            rich_help_panel=_TOPIC,
        ),
    ] = False
    base_model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Base model of an adapter (LoRA), in place of the one that the adapter names.",
            rich_help_panel=_TOPIC,
        ),
    ] = None
    custom_translation: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:TABLE",
            help="Translations of custom operators for the dynamo exporter: a dictionary of "
            "operators of torch and onnxscript functions.",
            rich_help_panel=_TOPIC,
        ),
    ] = None
    no_probe: Annotated[
        bool,
        typer.Option(
            "--no-probe",
            help="Leave fingerprints of values out of the record.",
            rich_help_panel=_TOPIC,
        ),
    ] = False
    stamp: Annotated[
        bool,
        typer.Option(
            "--stamp/--no-stamp",
            help="Of many equal layers, export three and copy their nodes for the others; the "
            "result is checked against the model. Deep models are exported many times faster.",
            rich_help_panel=_TOPIC,
        ),
    ] = True
    no_weights: Annotated[
        bool,
        typer.Option(
            "--no-weights",
            help="Build the model on torch's meta device and load no weights: the file has the "
            "structure, and its initializers have no values.",
            rich_help_panel=_TOPIC,
        ),
    ] = False
    trust_remote_code: Annotated[bool, trust_remote_code_option(_TOPIC)] = False

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
        """The shapes and dtypes of --input-shape, by the inputs' names.

        Raises:
            UsageError: A value is not a shape.
        """
        from modelexport.hierarchy.export_config import parse_input  # noqa: PLC0415 - as above

        return dict(map(parse_input, self.input_shape or ()))
