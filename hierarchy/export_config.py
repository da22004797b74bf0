"""The export configuration: how a model is traced, as a file that can be kept with the model.

`docs/export-config.schema.json` is generated from these classes. `TraceOptions` adds the options
that belong to a call and not to the file.
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
Opset = Annotated[int, msgspec.Meta(ge=7)]


WITH_PAST = "-with-past"
"""How the name of a task ends that asks for a cache: `text-generation-with-past`."""


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input of a model.

    Attributes:
        shape: Its extents; by default those of the example input that comes with the model.
        dtype: The type of its elements.
        range: The lowest and the highest value. Inputs of whole numbers contain both.
    """

    shape: tuple[Extent, ...] | None = None
    dtype: DType | None = None
    range: tuple[Number, Number] | None = None

    def __post_init__(self) -> None:
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError("`range` must begin with its lower bound")


@dataclass(frozen=True)
class InputRequest:
    """Which inputs the user wants the model to run on.

    Attributes:
        text: Text for the tokenizer; None for a default sentence.
        inputs: What is known about inputs, by name.
        complete: Whether the model gets these inputs and no others.
    """

    text: str | None = None
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
    complete: bool = False


class ExportConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How a model is traced.

    Attributes:
        exporter: The exporter that writes the file; `auto` by default.
        opset: Opset of the default domain.
        task: Task of a Hugging Face model, which chooses the architecture.
        attention: Attention implementation of a transformers model.
        input_text: Text that the tokenizer of a Hugging Face folder makes inputs from.
        inputs: The inputs by name. The model gets these and no others.
        dynamic: Make every axis of every input dynamic.
        dynamic_axes: Names of dynamic axes by input, then by position of the axis (from 0).
        output_names: Names for all outputs, in order.
        custom_translation: `FILE.py:TABLE`, a dictionary of operators of torch and the onnxscript
            functions that the dynamo exporter writes for them.
        with_past: Whether a decoder gets the cache of the tokens before among its inputs.
        base_model: Folder or hub id of the model that an adapter changes, in place of the one
            that the adapter names.
    """

    exporter: Exporter | None = None
    opset: Opset | None = None
    task: str | None = None
    attention: str | None = None
    input_text: str | None = None
    inputs: dict[str, InputSpec] = {}
    dynamic: bool | None = None
    dynamic_axes: dict[str, dict[Axis, Name]] = {}
    output_names: tuple[Name, ...] = ()
    custom_translation: Name | None = None
    with_past: bool | None = None
    base_model: Name | None = None

    def __post_init__(self) -> None:
        if self.dynamic and self.dynamic_axes:
            raise ValueError("`dynamic` makes every axis dynamic: leave out `dynamic_axes`")
        if len(set(self.output_names)) < len(self.output_names):
            raise ValueError("`output_names` must differ from each other")

    def input_request(self, overrides: Mapping[str, InputSpec] | None = None) -> InputRequest:
        """Which inputs the model is to run on.

        Args:
            overrides: Shapes and dtypes of some inputs, which win over the configuration.
        """
        inputs = dict(self.inputs)
        for name, spec in (overrides or {}).items():
            configured = inputs.get(name, InputSpec())
            inputs[name] = InputSpec(spec.shape, spec.dtype or configured.dtype, configured.range)
        return InputRequest(self.input_text, inputs, complete=bool(self.inputs))

    @property
    def plain_task(self) -> str | None:
        """The task without what it says about the cache: `text-generation`."""
        return self.task and self.task.removesuffix(WITH_PAST)

    @property
    def has_past(self) -> bool:
        """Whether a decoder gets the cache of the tokens before among its inputs."""
        in_task = self.task is not None and self.task.endswith(WITH_PAST)
        return in_task if self.with_past is None else self.with_past

    @property
    def axes(self) -> bool | dict[str, dict[int, str]]:
        """Which axes are dynamic: all (True), none (False), or those that have a name."""
        return self.dynamic_axes or bool(self.dynamic)


class TraceOptions(ExportConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options of tracing: an export configuration, and options that belong to one call only.

    Attributes:
        probe: Put fingerprints of the values into the record.
        stamp: Export only some of many equal layers, and copy their nodes for the others.
        trust_remote_code: Let a Hugging Face folder run its own code.
        weights: Load the weights. Without them the file has the structure of the model and no
            values.
    """

    probe: bool = True
    stamp: bool = True
    trust_remote_code: bool = False
    weights: bool = True

    @classmethod
    def from_config(cls, config: ExportConfig, **options: object) -> "TraceOptions":
        """The options of a configuration.

        Args:
            config: The configuration.
            options: Options that win over the configuration; those that are `None` do not.
        """
        settings = {name: value for name, value in options.items() if value is not None}
        if "dynamic" in settings:
            settings["dynamic_axes"] = {}
        fields = msgspec.structs.asdict(config) | settings
        return cls(**fields)


def read_export_config(path: str | Path | None) -> ExportConfig:
    """Read an export configuration; an empty one when there is no file.

    Raises:
        SettingsError: The file cannot be read, or does not hold a configuration. The message
            names the key.
    """
    return ExportConfig() if path is None else read_settings(Path(path), ExportConfig)


def parse_input(text: str) -> tuple[str, InputSpec]:
    """Read `name=1x8` or `name=1x8:int64`.

    >>> parse_input("ids=2x12:int64")
    ('ids', InputSpec(shape=(2, 12), dtype=<DType.INT64: 'int64'>, range=None))

    Raises:
        UsageError: The text has another form, or the dtype is unknown.
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
        choices = ", ".join(DType)
        raise UsageError(f"--input-shape {text}: unknown dtype {dtype}; choose from {choices}.")
    return name, msgspec.convert({"shape": shape, "dtype": dtype or None}, InputSpec)
