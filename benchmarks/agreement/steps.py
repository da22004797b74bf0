"""What a transformation is made of: steps, each a file in and a file out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import onnx

from fixtures_gen.onnx_values import Array


class Carry(StrEnum):
    """How the truth of a step's file is found."""

    VALUES = "values"  # its own values against the eager ones
    NAMES = "names"  # from the file before it, by tensor names that the tool keeps
    POSITIONS = "positions"  # from the file before it, node by node


@dataclass(frozen=True)
class Conversion:
    """What a step works on.

    Attributes:
        source, target: File in, file out.
        feeds: Inputs of the source, by name.
        fusions: The model type that onnxruntime's transformer optimizer knows the model by.
    """

    source: Path
    target: Path
    feeds: Mapping[str, Array]
    fusions: str | None = None

    def load(self) -> onnx.ModelProto:
        """The model of the source."""
        return onnx.load(self.source)

    def save(self, model: onnx.ModelProto) -> None:
        """Write the target."""
        onnx.save(model, self.target)


@dataclass(frozen=True)
class Step:
    """One thing that people do to a file.

    Attributes:
        name: Part of the transformation's name.
        apply: Does it; raises what the tool raises.
        carry: How the truth goes on.
        renames: Names are scrambled: inputs are known by their order from here on.
        cuts: The inputs of the target are values of the source.
        loss: What is lost, `fp16` or `quantised`; nothing when None.
    """

    name: str
    apply: Callable[[Conversion], None]
    carry: Carry = Carry.VALUES
    renames: bool = False
    cuts: bool = False
    loss: str | None = None
