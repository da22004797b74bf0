"""Unfolding a folded file that another tool edited: the result runs, and computes the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from onnx.helper import make_graph, make_node, make_tensor, make_value_info
from onnx.reference import ReferenceEvaluator

from modelexport.errors import UsageError
from modelexport.rewriter import FoldRules, annotate, unfold
from tests.helpers.folds import FOLD, blocks_record
from tests.helpers.handmade import parse, record_of, two_layers
from tests.helpers.subgraphs import save_model
from tests.helpers.traced import open_session

_Edit = Callable[[ModelProto, str], None]
"""Edits a folded model; gets a name that the flat model has for a value inside a function."""


def _equal_names_of_calls(folded: ModelProto, _inner: str) -> None:
    calls = _calls(folded)
    for node in calls:
        node.name = calls[-1].name


def _swapped_names_of_calls(folded: ModelProto, _inner: str) -> None:
    first, *_, last = _calls(folded)
    first.name, last.name = last.name, first.name


def _renamed_values(folded: ModelProto, _inner: str) -> None:
    names = {name: f"renamed.{name}" for node in _calls(folded) for name in node.output}
    for node in folded.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in folded.graph.value_info:
        value.name = names.get(value.name, value.name)


def _added_value(folded: ModelProto, inner: str) -> None:
    _add_node(folded, make_node("Neg", [folded.graph.input[0].name], [inner], name="added"))


def _added_node(folded: ModelProto, inner: str) -> None:
    """ONNX Runtime refuses two nodes of one name."""
    node_names = {name: node.name for node in two_layers().graph.node for name in node.output}
    source = folded.graph.input[0].name
    _add_node(folded, make_node("Neg", [source], ["new"], name=node_names[inner]))


def _added_initializer(folded: ModelProto, inner: str) -> None:
    folded.graph.initializer.append(make_tensor(inner, onnx.TensorProto.FLOAT, [1], [5.0]))
    _add_node(folded, make_node("Add", [folded.graph.input[0].name, inner], ["added"]))


def _added_subgraph(folded: ModelProto, inner: str) -> None:
    value = make_value_info(inner, folded.graph.output[0].type)
    node = make_node("Neg", [folded.graph.input[0].name], [inner])
    branch = make_graph([node], "branch", [], [value])
    folded.graph.initializer.append(make_tensor("true", onnx.TensorProto.BOOL, [], [True]))
    _add_node(folded, make_node("If", ["true"], ["new"], then_branch=branch, else_branch=branch))


def _other_constant(folded: ModelProto, _inner: str) -> None:
    """The constant inside the function had a name that an initializer has now."""
    one = two_layers().graph.node[0].output[0]
    folded.graph.initializer.append(make_tensor(one, onnx.TensorProto.FLOAT, [1], [5.0]))
    _add_node(folded, make_node("Add", [folded.graph.input[0].name, one], ["added"]))


def _moved_node(folded: ModelProto, _inner: str) -> None:
    """A node that read the last layer's value gives the first layer its input."""
    *calls, last = folded.graph.node
    last.input[:], source = [folded.graph.input[0].name], last.input[0]
    calls[0].input[:] = [
        last.output[0] if name == folded.graph.input[0].name else name for name in calls[0].input
    ]
    folded.graph.output[0].name = source
    del folded.graph.node[:]
    folded.graph.node.extend([last, *calls])


def _calls(folded: ModelProto) -> list[onnx.NodeProto]:
    calls = [node for node in folded.graph.node if node.domain]
    assert len(calls) > 1
    return calls


def _add_node(folded: ModelProto, node: onnx.NodeProto) -> None:
    """Add a node, whose value becomes an output."""
    folded.graph.node.append(node)
    folded.graph.output.add(name=node.output[0]).type.CopyFrom(folded.graph.output[0].type)


_EDITS = (
    _equal_names_of_calls,
    _swapped_names_of_calls,
    _renamed_values,
    _added_value,
    _added_node,
    _added_initializer,
    _added_subgraph,
    _other_constant,
    _moved_node,
)


@pytest.mark.parametrize("edit", _EDITS, ids=lambda edit: edit.__name__.strip("_"))
@pytest.mark.parametrize("mode", ["repeated", "nested"])
def test_an_edited_call_unfolds(edit: _Edit, mode: str, tmp_path: Path) -> None:
    """Earlier names and the earlier order come back only where they fit the file."""
    flat = two_layers()
    path, unfolded_path = tmp_path / "folded.onnx", tmp_path / "unfolded.onnx"
    source = save_model(tmp_path, flat)
    annotate(source, blocks_record(), path, inject=FOLD, fold_rules=FoldRules((mode,)))
    folded = onnx.load(path)
    left = {name for node in folded.graph.node for name in node.output}
    inner = [n for node in flat.graph.node[1:] for n in node.output if n not in left]
    edit(folded, inner[0])
    onnx.checker.check_model(folded, full_check=True)
    onnx.save(folded, path)
    unfold(path, unfolded_path)
    unfolded = onnx.load(unfolded_path)
    onnx.checker.check_model(unfolded, full_check=True)
    assert open_session(unfolded_path)
    values = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    results = [
        [array.tobytes() for array in ReferenceEvaluator(model).run(None, {"x": values})]
        for model in (folded, unfolded)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("source", ["node", "initializer", "input"])
def test_a_value_with_two_sources_is_refused(source: str, tmp_path: Path) -> None:
    """No functions are made of a file that cannot run; the value is named."""
    model = parse(
        "g (float[2] x) => (float[2] y) { [a] a = Neg (x) [b] b = Abs (a) [c] y = Exp (b) }"
    )
    record = record_of(model, {"": "Net", "m": "Block"}, ["m", "m", ""])
    if source == "node":
        model.graph.node.append(make_node("Neg", ["x"], ["b"], name="twice"))
    elif source == "initializer":
        model.graph.initializer.append(make_tensor("b", onnx.TensorProto.FLOAT, [2], [1.0, 2.0]))
    else:
        model.graph.input.add(name="b").type.CopyFrom(model.graph.input[0].type)
    target = tmp_path / "folded.onnx"
    with pytest.raises(UsageError, match="2 values of the file have the name 'b'"):
        annotate(
            save_model(tmp_path, model), record, target, inject=FOLD, fold_rules=FoldRules(("all",))
        )
    assert not target.exists()
