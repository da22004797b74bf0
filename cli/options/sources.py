"""How a model is loaded whose name is a source."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

if TYPE_CHECKING:
    from modelexport.hierarchy.export_config import InputSpec, TraceOptions


Task = Annotated[
    str | None, typer.Option(help="Task of a Hugging Face model, for example text-classification.")
]
Attention = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Attention implementation of a transformers model, for example eager or sdpa.",
    ),
]
InputText = Annotated[
    str | None, typer.Option(help="Text that the tokenizer of the folder makes the inputs from.")
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=1x8",
        help="Shape of an input, and after a colon its dtype (NAME=1x8:int64); may be repeated.",
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let the Hugging Face folder run its own code.")
]


def read_input_shapes(values: InputShapes) -> "dict[str, InputSpec]":
    """The shapes and dtypes of --input-shape, by the inputs' names.

    Raises:
        UsageError: A value is not a shape.
    """
    from modelexport.hierarchy.export_config import parse_input  # noqa: PLC0415 - only for models in torch

    return dict(map(parse_input, values or ()))


@dataclass(frozen=True)
class SourceOptions:
    """The options of loading a model that is not traced."""

    topic: ClassVar = "Model in torch"

    task: Task = None
    attention: Attention = None
    input_text: InputText = None
    input_shape: InputShapes = None
    trust_remote_code: TrustRemoteCode = False

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
        """The shapes and dtypes of --input-shape, see `read_input_shapes`."""
        return read_input_shapes(self.input_shape)

    def any(self) -> bool:
        """Whether an option is given."""
        return self != SourceOptions()
