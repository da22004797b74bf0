"""Nodes of other operators: those that modelexport looks for, with inputs that they never have.

Random damage makes no operator of a name that the code knows. Here a node gets such a name, in
ONNX's own domain, in that of contrib operators, or as a function of the file, which runs although
it has none of the operator's inputs and outputs.
"""

import random
import re
from functools import cache
from pathlib import Path

import onnx
from onnx import helper

import modelexport

_NAME = re.compile(r'"([A-Z][A-Za-z0-9]{2,})"')
_FUNCTIONS = "own"
"""Domain of the functions that are made."""
_DOMAINS = ("", "", "com.microsoft", _FUNCTIONS, _FUNCTIONS, _FUNCTIONS)
_ATTRIBUTES = ("axis", "axes", "to", "perm", "K", "N", "equation", "qkv_hidden_sizes", "value")
_VALUES = (0, -1, 2**40, 1.5, "x", [1, 2], [0.5], ["a"], helper.make_tensor("t", 7, [], [3]))
_MOST_INPUTS = 8


def change_operator(graph: onnx.GraphProto, model: onnx.ModelProto, source: random.Random) -> None:
    """Turn a node into one of another operator, or add such a node after all others.

    Args:
        graph: A graph of the model.
        model: The model, which gets the function and the domain.
        source: Decides everything.
    """
    node = source.choice(graph.node) if graph.node and source.random() < 0.5 else graph.node.add()
    node.op_type, node.domain = source.choice(_known_operators()), source.choice(_DOMAINS)
    if not node.output:
        node.name, node.output[:] = "added", ["added"][: source.randrange(2)]
    values = [v.name for v in graph.input] + [name for other in graph.node for name in other.output]
    names = [*values, *(tensor.name for tensor in graph.initializer), ""]
    if source.random() < 0.5:
        node.input[:] = [source.choice(names) for _ in range(source.randrange(_MOST_INPUTS))]
    else:
        del node.input[source.randrange(len(node.input) + 1) :]
    if source.random() < 0.3:
        name = source.choice(_ATTRIBUTES)
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, source.choice(_VALUES))])
    if node.domain and all(entry.domain != node.domain for entry in model.opset_import):
        model.opset_import.add(domain=node.domain, version=1)
    if node.domain == _FUNCTIONS:
        _add_function(model, node)


def _add_function(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """A function for a node, which returns its inputs, or numbers where it has none."""
    others = [f for f in model.functions if (f.domain, f.name) != (node.domain, node.op_type)]
    numbers = helper.make_tensor("numbers", onnx.TensorProto.FLOAT, [2, 4], [0.5] * 8)
    inputs = [f"input.{place}" for place in range(len(node.input))]
    outputs = [f"output.{place}" for place in range(len(node.output))]
    inner = [
        helper.make_node("Identity", [inputs[place % len(inputs)]], [name])
        if inputs
        else helper.make_node("Constant", [], [name], value=numbers)
        for place, name in enumerate(outputs)
    ]
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function(node.domain, node.op_type, inputs, outputs, inner, opsets)
    del model.functions[:]
    model.functions.extend([*others, function])


@cache
def _known_operators() -> tuple[str, ...]:
    """Names in the code that are names of operators."""
    rooms = [room.resolve() for room in Path(modelexport.__path__[0]).iterdir() if room.is_dir()]
    files = sorted(file for room in rooms for file in room.rglob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    schemas = {schema.name for schema in onnx.defs.get_all_schemas()}
    contrib = re.compile(r"^(Q|Fused|Skip|MatMul|DynamicQuantize|MultiHead|GroupQuery)")
    names = {name for text in texts for name in _NAME.findall(text)}
    return tuple(sorted(name for name in names if name in schemas or contrib.match(name)))
