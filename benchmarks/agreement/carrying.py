"""Truth for files whose numbers changed: carried over from the file before the lossy step.

A node of the lossy file computes what a node of the file before it computed when its output
has the same name, or the name that the tool makes of it. A tool that puts a cast or a
(de)quantisation after a node gives that the name: it is handed back to the node before. A
Relu or Clip that a quantiser takes away lives on in the node before it, which has both origins.
"""

from collections import defaultdict
from functools import reduce
from operator import or_

import onnx

from fixtures_gen.truth import Truth
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes

RESCALING = {"Cast", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
ABSORBED = {"Relu", "Clip"}
SUFFIXES = ("_output_quantized", "quant_scaled_output", "_quantized", "_MatMul")
"""What onnxruntime's quantisers append to the name of a node's output, for what makes it."""

RESCALES = "only rescales or casts"
ADDED = "the tool's own"


def by_position(before: Truth, after: onnx.ModelProto) -> Truth:
    """The truth of a file in which every node stands where it stood."""
    assert list(before.op_types) == [key for key, _ in walk_nodes(after)]
    return before


def by_names(before: onnx.ModelProto, truth: Truth, after: onnx.ModelProto) -> Truth:
    """The truth of a file whose tensors are named after those of the file before it."""
    old = {name: (key, node) for key, node in walk_nodes(before) for name in node.output if name}
    computed = _computed_names(old, after)
    carried = Truth(op_types={key: node.op_type for key, node in walk_nodes(after)})
    for key, node in walk_nodes(after):
        if node.op_type in RESCALING:
            carried.unknown[key] = RESCALES
            continue
        keys = {old[name][0] for name in computed.get(key, ())}
        unknown = [truth.unknown[k] for k in keys if k not in truth.modules]
        if not keys or unknown:
            carried.unknown[key] = unknown[0] if unknown else ADDED
        else:
            carried.modules[key] = frozenset().union(*(truth.modules[k] for k in keys))
        covers = [truth.covers[k] for k in keys if k in truth.covers]
        if covers and len(covers) == len(keys):
            carried.covers[key] = reduce(or_, covers)
    return carried


Old = dict[str, tuple[NodeKey, onnx.NodeProto]]


def _computed_names(old: Old, after: onnx.ModelProto) -> dict[NodeKey, set[str]]:
    """The old tensors that each node of the new file computes."""
    producers = {n: (key, node) for key, node in walk_nodes(after) for n in node.output if n}
    computed: dict[NodeKey, set[str]] = defaultdict(set)
    for name, (key, node) in producers.items():
        if node.op_type in RESCALING:
            _hand_back(name, node, old, producers, computed)
        elif (original := _original(name, old)) is not None:
            computed[key].add(original)
    _absorb(old, producers, computed)
    return computed


def _original(name: str, old: Old) -> str | None:
    """The old name behind a new one, None when there is none."""
    while name not in old:
        stripped = next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), None)
        if stripped is None:
            return None
        name = stripped
    return name


def _hand_back(
    name: str, node: onnx.NodeProto, old: Old, producers: Old, computed: dict[NodeKey, set[str]]
) -> None:
    """Give the old name that a new cast or (de)quantisation has to the node before it."""
    if name not in old or old[name][1].op_type in RESCALING:
        return
    key = None
    while node.op_type in RESCALING:
        if not node.input or node.input[0] not in producers:
            return
        key, node = producers[node.input[0]]
    assert key is not None
    computed[key].add(name)


def _absorb(old: Old, producers: Old, computed: dict[NodeKey, set[str]]) -> None:
    """Give a Relu or Clip that is gone to the node that its input came from."""
    computing: dict[str, set[NodeKey]] = defaultdict(set)
    for key, names in computed.items():
        for name in names:
            computing[name].add(key)
    for name, (_, node) in old.items():
        if node.op_type not in ABSORBED or not node.input or node.input[0] not in old:
            continue
        before = node.input[0]
        if not computing[name]:
            for key in computing[before]:
                computed[key].add(name)
        elif not computing[before]:
            for key in computing[name]:
                _, node_after = next(m for m in producers.values() if m[0] == key)
                if node_after.op_type != node.op_type:
                    computed[key].add(before)
