"""Names of nodes that nest, whatever tool wrote them: `model/dense/MatMul`.

Many frameworks put the scopes of a node before its name, with slashes between: Keras, TensorFlow
and JAX do, and inliners put a prefix before the names of what they inline. The graph shows whether
slashes separate scopes: nodes that share a scope feed each other. Nodes whose names are counted by
operator (`conv/0`, `conv/1`), hashes or file paths do not.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import onnx

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    NESTED_NAMES,
    CarriedHierarchy,
    tree_of_paths,
)
from modelexport.rewriter.matching.evidence.repeated_calls import merge_calls
from modelexport.rewriter.matching.evidence.third_party_names import (
    carried_claims,
    weight_owners,
)
from modelexport.rewriter.matching.thresholds import MINIMUM_CONNECTED_SHARE
from modelexport.support.prefixes import common_prefix

Steps = tuple[str, ...]

_CHILD_NUMBER = re.compile(r"\.(?=\d+(?:\.|$))")
"""A dot before a number that is a name of its own: `layer.0`."""

BY_NAMES_ALONE = (
    "the modules were read from the names of nodes alone: nothing else says that they are modules"
)


def read_nested_names(model: onnx.ModelProto, graph: ModelGraph) -> CarriedHierarchy | None:
    """The scopes in the names of nodes; None where names do not nest."""
    scopes = {
        key: scope
        for key, node in zip(graph.keys, graph.nodes, strict=True)
        if (scope := _scope(node))
    }
    if not _do_nest(scopes, graph):
        return None
    paths = {key: ".".join(map(_names, scope)) for key, scope in scopes.items()}
    owners = weight_owners(model)
    merged = merge_calls(paths, model, graph, owners, merge_in_doubt=False)
    claims = carried_claims(merged.paths)
    tree = tree_of_paths(merged.paths.values(), {}, model.graph.name)
    return CarriedHierarchy(NESTED_NAMES, Tagger(tree), claims, notes=(BY_NAMES_ALONE,))


def _scope(node: onnx.NodeProto) -> Steps:
    """The steps before the last one of a node's name; without a name, of its first output's.

    A tool that fuses nodes may join their names (`conv/Conv2D;norm/Add`): the steps that all share.
    """
    name = node.name or next(iter(node.output), "")
    return common_prefix(_steps(part)[:-1] for part in name.split(";"))


def _steps(name: str) -> Steps:
    return tuple(step for step in name.split("/") if step)


def _names(step: str) -> str:
    """A step as names of modules: `layer.0` is the child 0 of layer, other dots are no nesting.

    >>> _names("layer.0"), _names("tf.nn.relu")
    ('layer.0', 'tf_nn_relu')
    """
    parts = _CHILD_NUMBER.split(unquote(step))
    return ".".join(part.replace(".", "_") or "_" for part in parts)


def _do_nest(scopes: Mapping[NodeKey, Steps], graph: ModelGraph) -> bool:
    """Whether scopes are those of a hierarchy.

    Steps that all nodes share do not count. The first step after them divides the nodes into
    groups. In a hierarchy there are several groups, and most nodes that are not alone in their
    group have a neighbour in it. If no group has two nodes, the shared steps must show that the
    names are scopes.
    """
    shared = len(common_prefix(scopes.values()))
    groups = {key: scope[shared] for key, scope in scopes.items() if len(scope) > shared}
    sizes = Counter(groups.values())
    if len(sizes) < 2:
        return False
    members = [key for key, group in groups.items() if sizes[group] > 1]
    if not members:
        return shared > 0
    connected = _connected_nodes(groups, graph)
    return len(connected & set(members)) >= MINIMUM_CONNECTED_SHARE * len(members)


def _connected_nodes(groups: Mapping[NodeKey, str], graph: ModelGraph) -> set[NodeKey]:
    """The nodes that feed a node of their group, or are fed by one."""

    def group_of(number: int) -> str | None:
        return groups.get(graph.keys[number])

    def has_neighbour(number: int, neighbours: Sequence[int]) -> bool:
        return any(group_of(other) == group_of(number) for other in neighbours)

    return {
        key
        for number, key in enumerate(graph.keys)
        if key in groups
        and (
            has_neighbour(number, graph.predecessors[number])
            or has_neighbour(number, graph.successors[number])
        )
    }
