"""The export configuration: how a model is traced, as a file that can be kept with the model.

`docs/export-config.schema.json` is generated from these classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import DType, Exporter
from modelexport.support.settings import read_settings

Extent = Annotated[int, msgspec.Meta(ge=1)]
Axis = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1)]
Number = int | float


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input of a model.

    Attributes:
        shape: Its extents; those of what the model comes with otherwise.
        dtype: Of its elements.
        range: The lowest and the highest value; both occur among whole numbers.
    """

    shape: tuple[Extent, ...] | None = None
    dtype: DType | None = None
    range: tuple[Number, Number] | None = None

    def __post_init__(self) -> None:
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError("`range` must begin with its lower bound")


@dataclass(frozen=True)
class InputRequest:
    """What the user asked of the inputs.

    Attributes:
        text: For the tokenizer; a default sentence otherwise.
        inputs: What is known of inputs, by name.
        complete: Whether these are all that the model is to get.
    """

    text: str | None = None
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
    complete: bool = False


class ExportConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How a model is traced.

    Attributes:
        exporter: Who writes the file; `auto` takes the first that works, `htp` is `torchscript`.
        opset: Of the default domain.
        task: Of a Hugging Face model: choose the architecture by task.
        attention: Attention implementation of a transformers model.
        input_text: What the tokenizer of a Hugging Face folder makes inputs from.
        inputs: The inputs by name, all that the model is to get.
        dynamic: Make every axis of every input dynamic.
        dynamic_axes: Names of dynamic axes, by input and by position of the axis.
        output_names: What the outputs are to be called, in order, all of them.
    """

    exporter: Exporter | None = None
    opset: Annotated[int, msgspec.Meta(ge=7)] | None = None
    task: str | None = None
    attention: str | None = None
    input_text: str | None = None
    inputs: dict[str, InputSpec] = {}
    dynamic: bool | None = None
    dynamic_axes: dict[str, dict[Axis, Name]] = {}
    output_names: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        if self.dynamic and self.dynamic_axes:
            raise ValueError("`dynamic` makes every axis dynamic: leave out `dynamic_axes`")
        if len(set(self.output_names)) < len(self.output_names):
            raise ValueError("`output_names` must differ from each other")

    def request(self, asked: Mapping[str, InputSpec] | None = None) -> InputRequest:
        """What is wanted of the inputs.

        Args:
            asked: What the command line says of some of them, which wins.
        """
        inputs = dict(self.inputs)
        for name, spec in (asked or {}).items():
            known = inputs.get(name, InputSpec())
            inputs[name] = InputSpec(spec.shape, spec.dtype or known.dtype, known.range)
        return InputRequest(self.input_text, inputs, complete=bool(self.inputs))

    def overridden(self, **options: object) -> "ExportConfig":
        """This configuration with options in place of what it says; `None` leaves that."""
        given = {name: value for name, value in options.items() if value is not None}
        if "dynamic" in given:
            given["dynamic_axes"] = {}
        return msgspec.structs.replace(self, **given)

    @property
    def axes(self) -> bool | dict[str, dict[int, str]]:
        """Which axes are dynamic: all, none, or those with a name."""
        return self.dynamic_axes or bool(self.dynamic)


def read_export_config(path: Path | None) -> ExportConfig:
    """Read an export configuration; without a file, an empty one.

    Raises:
        SettingsError: It cannot be read, or does not hold one. The message names the key.
    """
    return ExportConfig() if path is None else read_settings(path, ExportConfig)


def parse_input(text: str) -> tuple[str, InputSpec]:
    """Read `name=1x8` or `name=1x8:int64`.

    >>> parse_input("ids=2x12:int64")
    ('ids', InputSpec(shape=(2, 12), dtype=<DType.INT64: 'int64'>, range=None))

    Raises:
        UsageError: The text has another form, or there is no such dtype.
    """
    name, _, rest = text.partition("=")
    extents, _, dtype = rest.partition(":")
    try:
        shape = tuple(int(extent) for extent in extents.split("x") if rest)
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise UsageError(f"--input-shape {text}: write it as name=1x8 or name=1x8:int64.")
    if dtype and dtype not in set(DType):
        known = ", ".join(DType)
        raise UsageError(f"--input-shape {text}: unknown dtype {dtype!r}; choose from {known}.")
    return name, msgspec.convert({"shape": shape, "dtype": dtype or None}, InputSpec)
