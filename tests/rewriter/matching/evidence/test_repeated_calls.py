"""A further call of a module is told from a module of its own, or said to be in doubt."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from onnx import helper, numpy_helper

from modelexport.rewriter.matching import Match, match_carried

Node = tuple[str, str | None]
"""The name of a node, and the weights that it reads, with a blank between two."""


def match(nodes: Sequence[Node], weights: Sequence[str] = ()) -> Match:
    """Match a chain of nodes whose operator is the last step of their name."""
    protos = []
    for number, (name, weight) in enumerate(nodes):
        operator = name.rpartition("/")[2].partition("_")[0]
        inputs = [f"v{number}", *(weight or "").split()]
        protos.append(helper.make_node(operator, inputs, [f"v{number + 1}"], name))
    read = (name for _, weight in nodes for name in (weight or "").split())
    names = dict.fromkeys([*weights, *read])
    initializers = [numpy_helper.from_array(np.eye(2, dtype=np.float32), name) for name in names]
    ends = [helper.make_tensor_value_info(n, 1, [2, 2]) for n in ("v0", f"v{len(nodes)}")]
    graph = helper.make_graph(protos, "main", ends[:1], ends[1:], initializers)
    return match_carried(helper.make_model(graph), "f")[0]


CASES: Mapping[str, tuple[Sequence[Node], str, bool]] = {
    "no weights: in doubt": ([("/a/relu/Relu", None), ("/a/relu_1/Relu", None)], "a.relu", True),
    "the same weights": ([("/fc/MatMul", "w"), ("/fc_1/MatMul", "w")], "fc", False),
    "other weights": ([("/fc/MatMul", "w"), ("/fc_1/MatMul", "u")], "fc_1", False),
    "only one has weights": ([("/fc/MatMul", "w"), ("/fc_1/MatMul", None)], "fc_1", False),
    "a parameter of its own": ([("/fc/Add", "fc.bias"), ("/fc_1/Add", "fc_1.bias")], "fc_1", False),
    "the parameter of the first": ([("/fc/Add", "fc.bias"), ("/fc_1/Add", "fc.bias")], "fc", False),
    "a number is missing": ([("/relu/Relu", None), ("/relu_2/Relu", None)], "relu_2", False),
    "other work": ([("/act/Relu", None), ("/act_1/Tanh", None)], "act_1", False),
    "no first": ([("/relu_1/Relu", None), ("/x/Relu", None)], "x", False),
    "only a child has weights": (
        [("/b/fc/MatMul", "w"), ("/b/Relu", None), ("/b_1/Relu", None)],
        "b",
        True,
    ),
    "the first of its nodes has weights": (
        [("/fc/MatMul", "w"), ("/fc/Relu", None), ("/fc_1/Relu", None)],
        "fc_1",
        False,
    ),
    "no first, and a parameter of it": (
        [("/fc_1/Add", "fc.bias"), ("/fc_1/Relu", None)],
        "fc",
        False,
    ),
    "no first, and another parameter": (
        [("/fc_1/Add", "fcx.bias"), ("/fc_1/Relu", None)],
        "fc_1",
        False,
    ),
    "a deep child of a Sequential": (
        [("/x/seq/seq.1/Relu", None), ("/x/seq/seq.1_1/Tanh", None)],
        "x.seq.1",
        False,
    ),
    "a number as a name, without a first": (
        [("/seq/Relu", None), ("/seq/seq.1_1/Relu", None)],
        "seq.1_1",
        False,
    ),
    "a name that begins with the number": (
        [("/a/Relu", None), ("/a/_1/Relu", None)],
        "a._1",
        False,
    ),
    "a child of a Sequential": (
        [("/seq/seq.1/Relu", None), ("/seq/seq.1_1/Relu", None)],
        "seq.1",
        False,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_decides(case: str) -> None:
    """The module of the last node, and whether the match says that it was in doubt."""
    nodes, module, in_doubt = CASES[case]
    result = match(nodes)
    assert result.decisions[-1].module == module
    assert any("cannot be told apart" in note for note in result.notes) == in_doubt


def test_a_scope_that_is_called_again_is_a_module() -> None:
    """`relu_1_1` is a call of `relu_1`, which so has that name."""
    names = ["/relu/Relu", "/relu_1/Relu", "/relu_1_1/Relu"]
    result = match([(name, None) for name in names])
    assert [d.module for d in result.decisions] == ["relu", "relu_1", "relu_1"]


def test_a_parameter_tells_a_node_in_the_scope_of_another_module() -> None:
    """The second call of `fc` and the module `fc_1` share a scope; parameters part them."""
    nodes = [("/fc/Add", "fc.bias"), ("/fc_1/Add", "fc_1.bias"), ("/fc_1/Add_1", "fc.bias")]
    assert [d.module for d in match(nodes).decisions] == ["fc", "fc_1", "fc"]


def test_parameters_of_inner_modules_tell_as_well() -> None:
    """The owner is all that stands before the parameter's own name."""
    nodes = [("/a/fc/Add", "a.fc.bias"), ("/a/fc_1/Add", "a.fc_1.bias")]
    nodes.append(("/a/fc_1/Add_1", "a.fc.bias"))
    assert [d.module for d in match(nodes).decisions] == ["a.fc", "a.fc_1", "a.fc"]


def test_a_parameter_tells_where_no_other_module_has_any() -> None:
    """The scopes read different weights, so that they are modules; one node is the other's."""
    nodes = [("/fc/MatMul", "u"), ("/fc_1/MatMul", "w"), ("/fc_1/Add", "fc.bias")]
    assert [d.module for d in match(nodes).decisions] == ["fc", "fc_1", "fc"]
    nodes[2] = ("/fc_1/Sum", "fc.bias scale")  # the other weight has no module in its name
    assert [d.module for d in match(nodes).decisions] == ["fc", "fc_1", "fc"]


def test_the_scope_in_doubt_is_named() -> None:
    """The first of them in the note."""
    [note] = match([("/a/relu/Relu", None), ("/a/relu_1/Relu", None)]).notes
    assert "(1 scopes such as a.relu_1)" in note
