"""What the modules of a model read and return in one run, as arrays.

This is how a run in torch reaches the ONNX side, which never imports torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelexport.hierarchy.fingerprints import Array

WeightSource = Callable[[], Array | None]
"""Gives the numbers of a weight; None where numpy cannot hold them."""


SCALE, SHIFT = "<scale>", "<shift>"
"""Names of the two numbers that a batch norm applies to each channel: it multiplies by the first,
and adds the second."""


@dataclass(frozen=True, eq=False)
class ModuleValues:
    """One call of a module.

    Attributes:
        path: Path of the module.
        call: Which call of it, from 0.
        inputs: The tensors that it read.
        outputs: The tensors that it returned.
        sources: For each input the positions, in `ModelValues.calls`, of the calls that returned
            this tensor; empty where no module did. An identity returns what it read.
    """

    path: str
    call: int
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    sources: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class ModelValues:
    """One run of a model.

    Attributes:
        name: What the model is called.
        feeds: The inputs of the model by the names of the ONNX inputs.
        feeds_from: Where they come from.
        calls: The calls of its modules, in the order in which they returned: a module comes after
            those inside it.
        weights: For the path of each module, its own weights by name: functions that return the
            numbers.
    """

    name: str
    feeds: Mapping[str, Array]
    feeds_from: str
    calls: tuple[ModuleValues, ...]
    weights: Mapping[str, Mapping[str, WeightSource]] = field(default_factory=dict)
    shared_weights: Mapping[tuple[str, str], str] = field(default_factory=dict)
