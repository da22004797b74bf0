"""Whether a record is of the model in a file, by the shapes of weights and by paired names."""

from collections.abc import Mapping

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.module_tree import Module, Parameter
from modelexport.hierarchy.record import Probe, Record, Source, Tensor
from modelexport.rewriter.matching.model_identity import (
    WeightDifference,
    compare_weight_shapes,
    refuse_foreign,
)

Shapes = Mapping[str, tuple[int, ...]]
SAME = WeightDifference(
    common=4, conflicts=0, example=None, missing=0, surplus=0, recorded=4, in_file=4, replaced=True
)
OTHER_SIZE = msgspec.structs.replace(SAME, conflicts=4)
NO_MATRIX = msgspec.structs.replace(SAME, common=0, missing=4, in_file=0, replaced=False)


def file_with(shapes: Shapes) -> onnx.ModelProto:
    """A model of initializers alone."""
    weights = [
        numpy_helper.from_array(np.zeros(shape, np.float32), n) for n, shape in shapes.items()
    ]
    return helper.make_model(helper.make_graph([], "g", [], [], weights))


def record_with(shapes: Shapes, *, path: str = "part", buffers: Shapes | None = None) -> Record:
    """A record of one module with these parameters, each in an initializer of its name."""
    prefix = f"{path}." if path else ""
    module = Module(
        path,
        "Part",
        parameters=tuple(Parameter(name, shape) for name, shape in shapes.items()),
        buffers=tuple(Parameter(name, shape) for name, shape in (buffers or {}).items()),
    )
    names = [*shapes, *(buffers or {})]
    return Record(
        source=Source("handmade", "hand", 17),
        digest="",
        modules=(module,),
        ops=(),
        tensors=tuple(Tensor(name, f"{prefix}{name}") for name in names),
        probe=Probe(),
    )


def difference(in_file: Shapes, recorded: Shapes) -> WeightDifference:
    return compare_weight_shapes(file_with(in_file), record_with(recorded))


def equal_matrices(count: int) -> dict[str, tuple[int, ...]]:
    return {f"m{n}": (4, 6) for n in range(count)}


def vectors(count: int, *, conflicts: int) -> tuple[Shapes, Shapes]:
    """Weights of the file and of the record, some of them of other sizes."""
    recorded = {f"v{n}": (4,) for n in range(count)}
    return {**recorded, **{f"v{n}": (5,) for n in range(conflicts)}}, recorded


@pytest.mark.parametrize(("count", "same"), [(10, True), (9, False)])
def test_more_than_a_tenth_of_conflicting_weights_is_another_size(count: int, same: bool) -> None:
    """One conflict in ten is tolerated, one in nine is not."""
    actual = difference(*vectors(count, conflicts=1))
    assert (actual.common, actual.conflicts, actual.same_size) == (count, 1, same)


@pytest.mark.parametrize(("count", "same"), [(4, True), (3, False)])
def test_more_than_a_quarter_of_surplus_matrices_is_another_size(count: int, same: bool) -> None:
    """One matrix too many among four is tolerated, one among three is not."""
    actual = difference(equal_matrices(count), equal_matrices(count - 1))
    assert (actual.surplus, actual.in_file, actual.same_size) == (1, count, same)


@pytest.mark.parametrize(("count", "same"), [(4, True), (3, False)])
def test_more_than_a_quarter_of_missing_matrices_is_another_size(count: int, same: bool) -> None:
    """One of four recorded matrices may be missing, one of three may not."""
    actual = difference(equal_matrices(count - 1), equal_matrices(count))
    assert (actual.missing, actual.recorded, actual.same_size) == (1, count, same)


@pytest.mark.parametrize(("shape", "same"), [((2, 6), True), ((2, 5), False)])
def test_matrices_of_new_shapes_replace_missing_ones(shape: tuple[int, ...], same: bool) -> None:
    """They must hold half of the elements of the missing ones."""
    actual = difference({"merged": shape}, equal_matrices(1))
    assert (actual.missing, actual.surplus) == (1, 0)
    assert actual.replaced is actual.same_size is same
    parts = {"a": (3, 4), "b": (3, 4)}
    assert difference(parts, {"whole": (12, 4)}).replaced


def test_surplus_matrices_replace_nothing() -> None:
    """A matrix of a recorded shape is no new one, however large."""
    actual = difference({f"m{n}": (8, 8) for n in range(9)}, {"a": (8, 8), "b": (4, 6)})
    assert (actual.missing, actual.surplus, actual.replaced) == (1, 8, False)


def test_only_matrices_are_counted_transposed_or_not() -> None:
    """A vector has no shape of its own; a transposed matrix is the same one."""
    actual = difference(
        {"m": (6, 4), "v": (9,), "row": (1, 9), "scalar": ()},
        {"m": (4, 6), "v": (7,), "row": (7, 1), "scalar": ()},
    )
    assert (actual.recorded, actual.in_file, actual.missing, actual.surplus) == (1, 1, 0, 0)
    assert actual.conflicts == 2
    assert not actual.complete


def test_weights_of_equal_size_do_not_conflict() -> None:
    """A weight may be reshaped: the element count decides."""
    actual = difference({"m": (24,)}, {"m": (4, 6)})
    assert (actual.common, actual.conflicts, actual.example) == (1, 0, None)


@pytest.mark.parametrize("change", [{"missing": 1}, {"surplus": 1}, {"conflicts": 1}], ids=str)
def test_complete_means_that_every_matrix_has_its_counterpart(change: dict[str, int]) -> None:
    """Nothing may be missing, surplus or of another size."""
    assert SAME.complete
    assert not msgspec.structs.replace(SAME, **change).complete


def test_parameters_of_the_root_and_buffers_are_recorded_weights() -> None:
    """A root's parameter has no path in its name; a buffer counts like a parameter."""
    record = record_with({"w": (4, 6)}, path="", buffers={"b": (3, 5)})
    actual = compare_weight_shapes(file_with({"w": (4, 6), "b": (3, 5)}), record)
    assert (actual.common, actual.recorded, actual.missing) == (2, 2, 0)


def test_constants_of_the_exporter_are_no_recorded_weights() -> None:
    """A recorded tensor without a parameter is not compared."""
    record = record_with({"w": (4, 6)})
    record = msgspec.structs.replace(record, tensors=(Tensor("w"),))
    actual = compare_weight_shapes(file_with({"w": (4, 7)}), record)
    assert (actual.common, actual.recorded) == (0, 0)


def test_only_constants_with_an_output_hold_weights() -> None:
    """The tensor attribute of another operator is no weight, nor that of a nameless Constant."""
    tensor = numpy_helper.from_array(np.zeros(1, np.float32))
    model = file_with({})
    model.graph.node.append(helper.make_node("ConstantOfShape", ["s"], ["w"], value=tensor))
    model.graph.node.append(helper.make_node("Constant", [], [], value=tensor))
    actual = compare_weight_shapes(model, record_with({"w": (1,)}))
    assert actual.common == 0


def test_weights_in_constants_and_in_subgraphs_are_found() -> None:
    """The tensor of a Constant node is a weight, and so is an initializer of a branch."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (bool c) => (float[2, 3] y) {
            w = Constant <value = float[2, 3] {1, 2, 3, 4, 5, 6}> ()
            one = Constant <value_float = 1.0> ()
            y = If (c) <
                then_branch = t () => (float[2, 3] a) <float[2, 3] inner = {1, 2, 3, 4, 5, 6}> {
                    a = Identity (inner) },
                else_branch = e () => (float[2, 3] b) { b = Identity (w) }
            >
        }
        <domain: "own", opset_import: ["" : 17]> f (v) => (r) { r = Identity (v) }"""
    )
    actual = compare_weight_shapes(model, record_with({"w": (2, 3), "inner": (2, 3), "one": (7,)}))
    assert (actual.common, actual.in_file) == (2, 2)


def test_the_difference_is_described() -> None:
    """The message counts, and gives one example with both shapes."""
    actual = difference(
        {"a": (), "b": (2,), "m": (5, 5), "n": (5, 5)}, {"a": (2, 3), "b": (2,), "x": (5, 5)}
    )
    assert actual.describe() == (
        "1 of 2 common weights agree in size, a is a scalar in the file and 2x3 in the record, "
        "1 of 2 matrices have no counterpart in the record, "
        "1 of the record's 2 matrices have no counterpart in the file"
    )
    assert SAME.describe() == "4 of 4 common weights agree in size"


def test_replaced_matrices_are_not_described_as_missing() -> None:
    """Merged weights are no difference to speak of."""
    actual = difference({"merged": (4, 12)}, equal_matrices(2))
    assert actual.describe() == "0 of 0 common weights agree in size"


def refused(
    actual: WeightDifference, paired: int, nodes: int, recorded_ops: int | None = None
) -> bool:
    try:
        refuse_foreign(actual, paired, nodes, "f.onnx", recorded_ops=recorded_ops)
    except ForeignRecordError:
        return True
    return False


@pytest.mark.parametrize(
    ("paired", "nodes", "expected"),
    [(4, 16, False), (3, 16, True), (1, 4, False), (1, 2, False), (0, 2, True), (0, 0, True)],
)
def test_a_quarter_of_the_names_must_pair(paired: int, nodes: int, expected: bool) -> None:
    """A quarter of the nodes, and one node at least."""
    assert refused(SAME, paired, nodes) is expected


def test_names_do_not_speak_for_another_size() -> None:
    """A sibling of another width has every name in common."""
    assert refused(OTHER_SIZE, 100, 100)


@pytest.mark.parametrize(
    ("paired", "nodes", "expected"),
    [(8, 8, False), (7, 7, True), (9, 10, False), (18, 20, False), (17, 20, True)],
)
def test_a_part_without_matrices_is_known_by_its_names(
    paired: int, nodes: int, expected: bool
) -> None:
    """Nine tenths of its nodes must pair, and eight at least."""
    assert refused(NO_MATRIX, paired, nodes) is expected


def test_a_model_without_matrices_is_no_part() -> None:
    """Where the record has no matrices either, a quarter of the names is enough."""
    actual = msgspec.structs.replace(NO_MATRIX, missing=0, recorded=0)
    assert not refused(actual, 1, 4)


@pytest.mark.parametrize(
    ("paired", "nodes", "recorded_ops", "expected"),
    [
        *[(9, 10, 10, False), (8, 10, 10, True)],
        *[(18, 20, 10, False), (17, 20, 10, True)],
        *[(18, 10, 20, False), (17, 10, 20, True)],
        *[(1, 1, 1, False), (0, 1, 1, True), (0, 0, 0, True)],
    ],
)
def test_where_weights_are_others_nearly_all_names_pair_both_ways(
    paired: int, nodes: int, recorded_ops: int, expected: bool
) -> None:
    """Nine tenths of the file's nodes and of the recorded ops."""
    assert refused(SAME, paired, nodes, recorded_ops) is expected


def test_where_weights_are_others_every_matrix_needs_its_counterpart() -> None:
    """A tolerated difference is too much there, in a part without matrices as well."""
    tolerated = msgspec.structs.replace(SAME, missing=1)
    assert not refused(tolerated, 10, 10)
    assert refused(tolerated, 10, 10, 10)
    assert refused(NO_MATRIX, 10, 10, 10)


def test_a_refusal_says_what_was_compared() -> None:
    """The file, the counts, what differs and what else was found."""
    with pytest.raises(ForeignRecordError) as caught:
        refuse_foreign(OTHER_SIZE, 3, 9, "f.onnx", findings=", 5% of its weights")
    assert str(caught.value) == (
        "f.onnx: the record is of another model: 3 of 9 node names pair with it, "
        "0 of 4 common weights agree in size, 5% of its weights."
    )


@pytest.mark.parametrize("common", [0, 4])
def test_a_refusal_suspects_other_names_where_common_weights_agree(common: int) -> None:
    """Equal sizes say that it may be the model all the same, if there are any to compare."""
    actual = msgspec.structs.replace(SAME, common=common)
    with pytest.raises(ForeignRecordError) as caught:
        refuse_foreign(actual, 0, 9, "f.onnx")
    doubt = ", or of this model with other node names" if common else ""
    assert str(caught.value) == (
        f"f.onnx: the record is of another model{doubt}: 0 of 9 node names pair with it, "
        f"{common} of {common} common weights agree in size."
    )
