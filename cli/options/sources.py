"""How a model is loaded whose name is a source."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from modelexport.hierarchy.export_config import InputSpec, TraceOptions


def task_option(topic: str) -> Any:
    """--task, under a topic of the help."""
    return typer.Option(
        help="Task of a Hugging Face model, for example text-classification.",
        rich_help_panel=topic,
    )


def attention_option(topic: str) -> Any:
    """--attention, under a topic of the help."""
    return typer.Option(
        metavar="NAME",
        help="Attention implementation of a transformers model, for example eager or sdpa.",
        rich_help_panel=topic,
    )


def input_text_option(topic: str) -> Any:
    """--input-text, under a topic of the help."""
    return typer.Option(
        help="Text that the tokenizer of the folder makes the inputs from.",
        rich_help_panel=topic,
    )


def input_shape_option(topic: str) -> Any:
    """--input-shape, under a topic of the help."""
    return typer.Option(
        metavar="NAME=1x8",
        help="Shape of an input, and after a colon its dtype (NAME=1x8:int64); may be repeated.",
        rich_help_panel=topic,
    )


def trust_remote_code_option(topic: str) -> Any:
    """--trust-remote-code, under a topic of the help."""
    return typer.Option(
        "--trust-remote-code",
        help="Let the Hugging Face folder run its own code.",
        rich_help_panel=topic,
    )


_TOPIC = "Model in torch"


@dataclass(frozen=True)
class SourceOptions:
    """The options of loading a model that is not traced."""

    task: Annotated[str | None, task_option(_TOPIC)] = None
    attention: Annotated[str | None, attention_option(_TOPIC)] = None
    input_text: Annotated[str | None, input_text_option(_TOPIC)] = None
    input_shape: Annotated[list[str] | None, input_shape_option(_TOPIC)] = None
    trust_remote_code: Annotated[bool, trust_remote_code_option(_TOPIC)] = False

    def trace_options(self) -> "TraceOptions":
        """The options as `compare_source` takes them."""
        from modelexport.hierarchy.export_config import (  # noqa: PLC0415 - only for models in torch
            TraceOptions,
        )

        return TraceOptions(
            task=self.task,
            attention=self.attention,
            input_text=self.input_text,
            trust_remote_code=self.trust_remote_code,
        )

    def input_specs(self) -> "dict[str, InputSpec]":
        """The shapes and dtypes of --input-shape, by the inputs' names.

        Raises:
            UsageError: A value is not a shape.
        """
        from modelexport.hierarchy.export_config import parse_input  # noqa: PLC0415 - as above

        return dict(map(parse_input, self.input_shape or ()))

    def any(self) -> bool:
        """Whether an option is given."""
        return self != SourceOptions()
