"""Names of nodes by the scheme of torch's TorchScript exporter: `/encoder/layer.0/fc/MatMul`."""

import re
from itertools import accumulate

import onnx

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    SCOPED_NAMES,
    CarriedHierarchy,
    tree_of_paths,
    upwards,
)
from modelexport.rewriter.matching.evidence.repeated_calls import merge_calls
from modelexport.rewriter.matching.evidence.third_party_names import (
    carried_claims,
    weight_owners,
    without_prefix,
    wrapper_of,
)


def read_scoped_names(model: onnx.ModelProto, graph: ModelGraph) -> CarriedHierarchy | None:
    """The scopes in the names of nodes; None where no name is by the scheme.

    If a tool has added to a node's name, the node gets the innermost known scope in it.
    """
    owners = weight_owners(model)
    scopes: dict[NodeKey, str] = {}
    others: dict[NodeKey, list[str]] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        first, *steps = node.name.split("/")
        if first or not steps:
            continue
        if re.fullmatch(rf"{re.escape(node.op_type)}(_\d+)?", steps[-1]):
            scopes[key] = ".".join(_without_doubled(steps[:-1], owners))
        else:
            others[key] = _without_doubled(steps[:-1], owners)
    if not any(scopes.values()):
        return None
    scopes |= _known_scopes(others, {*scopes.values(), *owners})
    prefix = wrapper_of(scopes.values(), owners)
    paths = {key: without_prefix(path, prefix) for key, path in scopes.items()}
    merged = merge_calls(paths, model, graph, owners, merge_in_doubt=True)
    tree = tree_of_paths(merged.paths.values(), {}, model.graph.name)
    notes = _about_doubt(merged.in_doubt)
    return CarriedHierarchy(SCOPED_NAMES, Tagger(tree), carried_claims(merged.paths), notes=notes)


def _known_scopes(steps_of: dict[NodeKey, list[str]], scopes: set[str]) -> dict[NodeKey, str]:
    """The innermost known scope of each node that is in one."""
    every_scope = {above for scope in scopes for above in upwards(scope)}
    paths = {}
    for key, steps in steps_of.items():
        candidates = list(accumulate(steps, "{}.{}".format))
        path = next((path for path in reversed(candidates) if path in every_scope), None)
        if path:
            paths[key] = path
    return paths


def _about_doubt(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if not scopes:
        return ()
    note = (
        "by names alone, a further call of a module and another module cannot be told apart "
        f"({len(scopes)} scopes such as {scopes[0]}): they count as calls; a record knows"
    )
    return (note,)


def _without_doubled(steps: list[str], owners: set[str]) -> list[str]:
    """Steps without the doubling of called containers: `layer/layer.0` is `layer.0`.

    Unless a weight's name says that there is a module of the doubled path.
    """
    undoubled: list[str] = []
    for step in steps:
        if undoubled and step.startswith(undoubled[-1] + "."):
            doubled = ".".join([*undoubled, step])
            if not any(path == doubled or path.startswith(doubled + ".") for path in owners):
                undoubled.pop()
        undoubled.append(step)
    return undoubled
