"""Whether a record can be of the model in a file, judged by weights and names.

A sibling (the same architecture in another size) has many names in common with the traced
model, so names alone would tag it, wrongly. Its weights show the difference: they have other
shapes, or there are more or fewer of them than in the record.
"""

import math
from collections import Counter
from collections.abc import Iterable

import msgspec
import onnx

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.graph_paths import walk_graphs
from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.thresholds import (
    FEWEST_NAMES,
    MINIMUM_NAME_SHARE,
    NEARLY_ALL_NAMES,
    REPLACED_SHARE,
    SIZE_CONFLICTS,
    SIZE_SURPLUS,
)

_Shape = tuple[int, ...]


class WeightDifference(msgspec.Struct, frozen=True):
    """How the shapes of a file's weights differ from the recorded ones.

    A matrix is a weight with more than one dimension greater than 1.

    Attributes:
        common: Weights of equal names.
        conflicts: Weights of equal names with other element counts.
        example: One of these: name, shape in the file, shape in the record.
        missing: Recorded matrices for which the file has none of their shape.
        surplus: Matrices of the file of which the record has the shape, but fewer of them.
        recorded, in_file: Number of matrices of the record and of the file.
        replaced: Whether matrices of new shapes hold enough elements to stand for the missing ones
            (weights that were merged or split); true when nothing is missing.
    """

    common: int
    conflicts: int
    example: tuple[str, _Shape, _Shape] | None
    missing: int
    surplus: int
    recorded: int
    in_file: int
    replaced: bool

    @property
    def same_size(self) -> bool:
        """Whether the file's weights can be those of a model of the recorded size."""
        if self.conflicts > SIZE_CONFLICTS * self.common:
            return False
        if self.surplus > SIZE_SURPLUS * self.in_file:
            return False
        return self.replaced or self.missing <= SIZE_SURPLUS * self.recorded

    @property
    def complete(self) -> bool:
        """Whether every matrix has its counterpart."""
        return not (self.missing or self.surplus or self.conflicts)

    def describe(self) -> str:
        """What differs, for a person."""
        parts = [f"{self.common - self.conflicts} of {self.common} common weights agree in size"]
        if self.example:
            name, in_file, recorded = self.example
            parts.append(
                f"{name} is {_dimensions(in_file)} in the file and {_dimensions(recorded)} in "
                "the record"
            )
        if self.surplus:
            parts.append(
                f"{self.surplus} of {self.in_file} matrices have no counterpart in the record"
            )
        if not self.replaced:
            parts.append(
                f"{self.missing} of the record's {self.recorded} matrices have no counterpart "
                "in the file"
            )
        return ", ".join(parts)


def compare_weight_shapes(model: onnx.ModelProto, record: Record) -> WeightDifference:
    """Compare the shapes of a file's weights with the recorded ones."""
    in_file, recorded = _weight_shapes(model), _recorded_shapes(record)
    common = [name for name in in_file if name in recorded]
    conflicts = [name for name in common if math.prod(in_file[name]) != math.prod(recorded[name])]
    file_matrices = _count_matrices(in_file.values())
    recorded_matrices = _count_matrices(recorded.values())
    missing, extra = recorded_matrices - file_matrices, file_matrices - recorded_matrices
    surplus = Counter({shape: n for shape, n in extra.items() if shape in recorded_matrices})
    example = conflicts[0] if conflicts else None
    return WeightDifference(
        common=len(common),
        conflicts=len(conflicts),
        example=(example, in_file[example], recorded[example]) if example else None,
        missing=missing.total(),
        surplus=surplus.total(),
        recorded=recorded_matrices.total(),
        in_file=file_matrices.total(),
        replaced=_elements(extra - surplus) >= REPLACED_SHARE * _elements(missing),
    )


def refuse_foreign(
    difference: WeightDifference,
    paired: int,
    nodes: int,
    where: str,
    *,
    recorded_ops: int | None = None,
    findings: str = "",
) -> None:
    """Refuse a record that is not of the file's model.

    Args:
        difference: How the weights' shapes differ.
        paired: Nodes whose names pair with recorded ops.
        nodes: Nodes of the file.
        where: The file, for the message.
        recorded_ops: How many ops were recorded, if the weights hold other numbers. Then only names
            carry the tags. They must pair both ways, so that a model of another depth is refused.
        findings: What else was compared, for the message.

    Raises:
        ForeignRecordError: Too few names pair, or the sizes differ.
    """
    fits, least = difference.same_size, max(1, MINIMUM_NAME_SHARE * nodes)
    if recorded_ops is not None:
        fits = difference.complete
        least = max(1, NEARLY_ALL_NAMES * max(nodes, recorded_ops))
    elif not difference.in_file and not fits:
        fits, least = True, max(FEWEST_NAMES, NEARLY_ALL_NAMES * nodes)
    if paired >= least and fits:
        return
    verdict = "of another model"
    if difference.same_size and difference.common:
        verdict += ", or of this model with other node names"
    raise ForeignRecordError(
        f"{where}: the record is {verdict}: {paired} of {nodes} node names pair with it, "
        f"{difference.describe()}{findings}."
    )


def _weight_shapes(model: onnx.ModelProto) -> dict[str, _Shape]:
    """Name and shape of the initializers and Constant nodes of all graphs."""
    shapes: dict[str, _Shape] = {}
    for place in walk_graphs(model):
        if isinstance(place.graph, onnx.GraphProto):
            shapes.update((weight.name, tuple(weight.dims)) for weight in place.graph.initializer)
        for node in place.graph.node:
            if node.op_type == "Constant" and node.output:
                tensors = [a.t for a in node.attribute if a.HasField("t")]
                shapes.update((node.output[0], tuple(tensor.dims)) for tensor in tensors)
    return shapes


def _recorded_shapes(record: Record) -> dict[str, _Shape]:
    """Name and shape of the initializers that hold a parameter or buffer."""
    shapes = {
        f"{module.path}.{entry.name}" if module.path else entry.name: entry.shape
        for module in record.modules
        for entry in (*module.parameters, *module.buffers)
    }
    return {t.name: shapes[t.parameter] for t in record.tensors if t.parameter in shapes}


def _count_matrices(shapes: Iterable[_Shape]) -> Counter[_Shape]:
    """How many matrices have each shape, transposed or not."""
    return Counter(
        tuple(sorted(shape)) for shape in shapes if sum(extent > 1 for extent in shape) > 1
    )


def _elements(matrices: Counter[_Shape]) -> int:
    return sum(math.prod(shape) * count for shape, count in matrices.items())


def _dimensions(shape: _Shape) -> str:
    return "x".join(map(str, shape)) or "a scalar"
