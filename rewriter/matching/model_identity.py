"""Whether a record can be of the model in a file, judged by what both hold.

A sibling (the same architecture in another size) has many names in common with the traced
model, so names alone would tag it, wrongly. Its weights tell: they have other shapes, or
there are more or fewer of them than the record knows.
"""

import math
from collections import Counter
from collections.abc import Iterable

import msgspec
import onnx

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.graph_paths import walk_graphs
from modelexport.hierarchy.record import Record

_MINIMUM_NAMES = 0.25
"""Less than this share of a file's nodes paired by name: no evidence, whatever paired."""

_NEARLY_ALL_NAMES = 0.9
"""What must pair by name, of a file and of its record, where the weights are others."""

_FEWEST_NAMES = 8
"""So many nodes, nearly all, must pair by name where a part without any matrix was cut out."""

_SURPLUS = 0.25
"""More than this share of matrices missing or surplus: another size of the model."""

_CONFLICTS = 0.1
"""More than this share of equally named weights of other sizes: another size of the model."""

_Shape = tuple[int, ...]


class Kinship(msgspec.Struct, frozen=True):
    """How the weights of a file and of a record compare.

    Attributes:
        common: Weights of equal name in both.
        conflicts: Those of them whose element counts differ.
        example: One of these: name, shape in the file, shape in the record.
        missing: Matrices that the record has and the file has not, judged by shape.
        surplus: Matrices of a shape that the record has, but fewer of.
        recorded, held: Matrices of the record and of the file.
        replaced: Whether matrices of new shapes make up for the missing ones (merged weights).
    """

    common: int
    conflicts: int
    example: tuple[str, _Shape, _Shape] | None
    missing: int
    surplus: int
    recorded: int
    held: int
    replaced: bool

    @property
    def same_size(self) -> bool:
        """Whether the file's weights can be those of the recorded model."""
        if self.conflicts > _CONFLICTS * self.common:
            return False
        if self.surplus > _SURPLUS * self.held:
            return False
        return self.replaced or self.missing <= _SURPLUS * self.recorded

    @property
    def complete(self) -> bool:
        """Whether every matrix has its counterpart."""
        return not (self.missing or self.surplus or self.conflicts)

    def difference(self) -> str:
        """What differs, for a person."""
        parts = [f"{self.common - self.conflicts} of {self.common} common weights agree in size"]
        if self.example:
            name, here, there = self.example
            parts.append(f"{name} is {_times(here)} here and {_times(there)} in the record")
        if self.surplus:
            parts.append(f"{self.surplus} of {self.held} matrices are more than the record has")
        if self.missing and not self.replaced:
            parts.append(f"{self.missing} of the record's {self.recorded} matrices are not here")
        return ", ".join(parts)


def compare(model: onnx.ModelProto, record: Record) -> Kinship:
    """Compare the weights of a file with those of a record."""
    here, there = _held(model), _recorded(record)
    common = [name for name in here if name in there]
    conflicts = [name for name in common if math.prod(here[name]) != math.prod(there[name])]
    ours, theirs = _matrices(here.values()), _matrices(there.values())
    missing, extra = theirs - ours, ours - theirs
    surplus = Counter({shape: count for shape, count in extra.items() if shape in theirs})
    new = extra - surplus
    example = conflicts[0] if conflicts else None
    return Kinship(
        common=len(common),
        conflicts=len(conflicts),
        example=(example, here[example], there[example]) if example else None,
        missing=missing.total(),
        surplus=surplus.total(),
        recorded=theirs.total(),
        held=ours.total(),
        replaced=2 * _elements(new) >= _elements(missing),
    )


def refuse_foreign(
    kinship: Kinship,
    paired: int,
    nodes: int,
    where: str,
    *,
    all_ops: int | None = None,
    found: str = "",
) -> None:
    """Refuse a record that is not of the file's model.

    Args:
        kinship: How the weights compare.
        paired: Nodes whose names pair with recorded ops.
        nodes: Nodes of the file.
        where: The file, for the message.
        all_ops: How many ops were recorded, when the weights are others: then names carry the
            tags alone, and must pair both ways, so that a model of another depth is refused.
        found: What else was compared and found, for the message.

    Raises:
        ForeignRecordError: Too little is in common, or the sizes differ.
    """
    fits = kinship.same_size
    least = max(1, _MINIMUM_NAMES * nodes)
    if not kinship.held and not fits:
        fits, least = True, max(_FEWEST_NAMES, _NEARLY_ALL_NAMES * nodes)
    if all_ops is not None:
        fits = fits and kinship.complete
        least = max(1, _NEARLY_ALL_NAMES * max(nodes, all_ops))
    if paired >= least and fits:
        return
    verdict = "of another model"
    if kinship.same_size and kinship.common:
        verdict += ", or of this one in a file that names its nodes in another way"
    raise ForeignRecordError(
        f"{where}: the record is {verdict}: {paired} of {nodes} node names pair with it, "
        f"{kinship.difference()}{found}."
    )


def _held(model: onnx.ModelProto) -> dict[str, _Shape]:
    found: dict[str, _Shape] = {}
    for place in walk_graphs(model):
        if isinstance(place.graph, onnx.GraphProto):
            found.update((w.name, tuple(w.dims)) for w in place.graph.initializer)
        for node in place.graph.node:
            if node.op_type == "Constant" and node.output:
                dims = [tuple(a.t.dims) for a in node.attribute if a.HasField("t")]
                found.update((node.output[0], shape) for shape in dims)
    return found


def _recorded(record: Record) -> dict[str, _Shape]:
    shapes = {
        f"{module.path}.{held.name}" if module.path else held.name: held.shape
        for module in record.modules
        for held in (*module.parameters, *module.buffers)
    }
    return {t.name: shapes[t.parameter] for t in record.tensors if t.parameter in shapes}


def _matrices(shapes: Iterable[_Shape]) -> Counter[_Shape]:
    """How many there are of each shape, transposed or not; vectors tell nothing."""
    return Counter(
        tuple(sorted(shape)) for shape in shapes if sum(extent > 1 for extent in shape) > 1
    )


def _elements(shapes: Counter[_Shape]) -> int:
    return sum(math.prod(shape) * count for shape, count in shapes.items())


def _times(shape: _Shape) -> str:
    return "x".join(map(str, shape)) or "a scalar"
