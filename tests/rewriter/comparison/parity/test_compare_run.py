"""What modules returned in a run, against what an ONNX file computes. The run is made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy.module_values import ModelValues, ModuleValues
from modelexport.rewriter import ModelComparison, ValueStatus, annotate, compare_run
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.traced import open_session
from tests.helpers.versions import perturb_module

INPUT = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
READS = {"layer.0.fc": "x", "layer.0": "x", "layer.1.fc": "p0", "layer.1": "p0", "": "x"}
RETURNS = {"layer.0.fc": "a0", "layer.0": "p0", "layer.1.fc": "a1", "layer.1": "p1", "": "y"}


@pytest.fixture
def annotated_file(tmp_path: Path) -> Path:
    """Two layers, annotated."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", two_layers_record(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def values(tmp_path: Path) -> ModelValues:
    """What each module of two layers reads and returns."""
    model = two_layers()
    names = list(dict.fromkeys([*RETURNS.values()]))
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n != "y")
    onnx.save(model, tmp_path / "exposed.onnx")
    arrays = open_session(tmp_path / "exposed.onnx").run(names, {"x": INPUT})
    by_name = {"x": INPUT, **dict(zip(names, arrays, strict=True))}
    order = list(RETURNS)
    calls = []
    for path in order:
        read = READS[path]
        sources = tuple(i for i, call in enumerate(calls) if RETURNS[call.path] == read)
        calls.append(ModuleValues(path, 0, (by_name[read],), (by_name[RETURNS[path]],), (sources,)))
    return ModelValues("net", {"x": INPUT}, "the test's", tuple(calls))


def with_output(values: ModelValues, path: str, array: np.ndarray) -> ModelValues:
    """The same run, in which a module returned something else."""
    calls = (replace(c, outputs=(array,)) if c.path == path else c for c in values.calls)
    return replace(values, calls=tuple(calls))


def statuses(result: ModelComparison) -> dict[str, ValueStatus]:
    return {row.path: row.status for row in result.modules}


def test_what_is_the_same_is_equal(values: ModelValues, annotated_file: Path) -> None:
    """Every module, in the order in which they return."""
    result = compare_run(values, annotated_file, tolerance=0)
    assert [row.path for row in result.modules] == list(RETURNS)
    assert set(statuses(result).values()) == {ValueStatus.EQUAL}
    assert (result.same, result.first, result.counts["equal"]) == (True, None, len(RETURNS))


def test_what_the_model_returns_is_compared_with_what_the_file_returns(
    values: ModelValues, annotated_file: Path
) -> None:
    """Also where that is what a module inside returned: the model did something more to it."""
    more = np.asarray(values.calls[-1].outputs[0]) + 1
    result = compare_run(with_output(values, "", more), annotated_file)
    assert (result.same, result.first) == (False, "/Net")
    assert statuses(result) == dict.fromkeys(RETURNS, ValueStatus.EQUAL) | {
        "": ValueStatus.DIVERGES
    }


@pytest.mark.parametrize("module", ["layer.0.fc", "layer.1.fc"])
def test_divergence_begins_in_the_changed_module(
    values: ModelValues, annotated_file: Path, tmp_path: Path, module: str
) -> None:
    """Its inputs agree and its outputs do not; what comes before it is equal."""
    changed = perturb_module(annotated_file, tmp_path / "b.onnx", two_layers_record(), module)
    result = compare_run(values, changed)
    assert result.first == "/Net/" + module.replace(".fc", "/fc")
    assert [row.path for row in result.modules if row.begins] == [module]
    position = list(RETURNS).index(module)
    expected = [ValueStatus.EQUAL] * position + [ValueStatus.DIVERGES] * (len(RETURNS) - position)
    assert list(statuses(result).values()) == expected


def test_a_module_whose_input_the_file_does_not_show_is_no_beginning(
    values: ModelValues, annotated_file: Path, tmp_path: Path
) -> None:
    """When another diverged before: a padding between the two may be merged into a convolution."""
    changed = perturb_module(annotated_file, tmp_path / "b.onnx", two_layers_record(), "layer.0.fc")
    padded = np.pad(INPUT, 1)
    calls = tuple(
        replace(call, inputs=(padded,), sources=((),)) if call.path.startswith("layer.1") else call
        for call in values.calls
    )
    result = compare_run(replace(values, calls=calls), changed)
    assert [row.path for row in result.modules if row.begins] == ["layer.0.fc"]
    assert statuses(result)["layer.1.fc"] is ValueStatus.DIVERGES


def test_an_operator_of_the_module_itself_is_not_charged_to_a_child(
    values: ModelValues, annotated_file: Path, tmp_path: Path
) -> None:
    """The constant that both blocks add is another one: the first block is named, not a linear."""
    model = onnx.load(annotated_file)
    constant = next(node for node in model.graph.node if node.op_type == "Constant")
    number = np.asarray(2, np.float32)
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(number))
    onnx.save(model, tmp_path / "b.onnx")
    result = compare_run(values, tmp_path / "b.onnx")
    assert result.first == "/Net/layer.0"
    assert statuses(result)["layer.0.fc"] is ValueStatus.EQUAL


def test_the_same_numbers_in_another_order_are_permuted(
    values: ModelValues, annotated_file: Path
) -> None:
    """The order of the axes is told where there is one."""
    transposed = values.calls[0].outputs[0].T.copy()
    result = compare_run(with_output(values, "layer.0.fc", transposed), annotated_file)
    row = result.modules[0]
    assert (row.status, row.layout, row.max_abs) == (ValueStatus.PERMUTED, "1,0", 0)
    shuffled = np.roll(values.calls[0].outputs[0].reshape(-1), 5).reshape(3, 4)
    result = compare_run(with_output(values, "layer.0.fc", shuffled), annotated_file)
    assert (result.modules[0].status, result.modules[0].layout) == (ValueStatus.PERMUTED, "")
    assert result.same


def test_an_order_that_nothing_restores_is_a_difference(
    values: ModelValues, annotated_file: Path
) -> None:
    """The outputs of the model are read by their places: exchanged rows are other outputs."""
    shuffled = np.roll(values.calls[-1].outputs[0], 1, axis=0)
    changed = values
    for path in ("layer.1", ""):
        changed = with_output(changed, path, shuffled)
    result = compare_run(changed, annotated_file)
    assert result.first == "/Net/layer.1"
    assert statuses(result)[""] is ValueStatus.DIVERGES
    assert not result.same


def test_what_no_node_computes_is_no_difference(values: ModelValues, annotated_file: Path) -> None:
    """A value of another size is not in the file: that is told, with the reason."""
    result = compare_run(with_output(values, "layer.0.fc", np.ones(7, np.float32)), annotated_file)
    row = result.modules[0]
    assert (row.status, row.value) == (ValueStatus.NO_NODE, None)
    assert row.reason == "no value of this size leaves the module in the file"
    assert result.same


def test_module_and_depth_choose_rows(
    values: ModelValues, annotated_file: Path, tmp_path: Path
) -> None:
    """What is not shown does not count; a module that stands for others is named for them."""
    changed = perturb_module(annotated_file, tmp_path / "b.onnx", two_layers_record(), "layer.1.fc")
    inside = compare_run(values, changed, module="layer.0")
    assert {row.path for row in inside.modules} == {"layer.0", "layer.0.fc"}
    assert inside.same
    joined = compare_run(values, changed, depth=1)
    assert joined.first == "/Net/layer.1"
    assert "layer.1.fc" not in statuses(joined)


def test_a_file_of_another_model_is_refused(values: ModelValues, annotated_file: Path) -> None:
    """None of the modules that ran is in it."""
    calls = tuple(replace(call, path=f"other.{call.path}") for call in values.calls)
    with pytest.raises(UsageError, match="another model"):
        compare_run(replace(values, calls=calls), annotated_file)
