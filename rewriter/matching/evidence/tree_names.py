"""Files that still have their module tree, but have lost their tags.

The names of weights, and the scopes in names of nodes, are looked up in the module tree that
annotating wrote. So only modules of this tree are found, and a node whose names show none stays
open.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from urllib.parse import unquote

import onnx

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.graph.graph_view import ContractedGraph
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim, Claims

TAGS_ARE_LOST = (
    "the file has its module tree, but tags are lost: --from ANNOTATED.onnx or --record brings "
    "all of them back"
)

_NO_NAME = "its tag is lost, and neither its name nor its weights tell a module of the tree"


def claims_by_tree(
    model: onnx.ModelProto, graph: ModelGraph, tree: ModuleTree, parameters: Mapping[str, str]
) -> Claims:
    """The module of each node whose weights or name tell one of the tree.

    Args:
        model: The model.
        graph: Its nodes.
        tree: The module tree in the file.
        parameters: Initializer name to parameter, as the file says.
    """
    claims = Claims()
    owners = weight_owners_by_node(model, graph, tree, parameters)
    for number, (key, node) in enumerate(zip(graph.keys, graph.nodes, strict=True)):
        paths = owners.get(number)
        name = module_in_name(node.name, tree)
        if paths:
            covers = paths if len(paths) > 1 else ()
            claims.by_node[key] = Claim(tree.common_ancestor(paths), EvidenceKind.CARRIED, covers)
        elif name:
            claims.by_node[key] = Claim(name, EvidenceKind.CARRIED)
        else:
            claims.reasons[key] = _NO_NAME
    return claims


def weight_owners_by_node(
    model: onnx.ModelProto, graph: ModelGraph, tree: ModuleTree, parameters: Mapping[str, str]
) -> dict[int, tuple[str, ...]]:
    """The modules that own the weights of each node, by its number.

    Tied weights are left out, because they belong to several modules. So are weights that several
    nodes read, if the file lacks others of that shape: exporters keep only one of several equal
    weights.
    """
    tied = {p.tied_to for module in tree for p in (*module.parameters, *module.buffers)}
    initializers = InitializerParameters(model, tree, parameters)
    view = ContractedGraph(graph.indexed, {})
    names = {value: graph.indexed.value_names[value][1] for value in graph.indexed.initializers}
    absent = {tuple(sorted(shape)) for shape in initializers.absent().values()}
    usable = {
        value: name
        for value, name in names.items()
        if len(view.consumers(value)) < 2
        or tuple(sorted(initializers.shapes.get(name, ()))) not in absent
    }
    owners: dict[int, tuple[str, ...]] = {}
    for number in range(len(graph.keys)):
        read = (usable[value] for value in view.inputs(number) if value in usable)
        paths = {
            path
            for name in read
            if initializers.parameters.get(name) not in tied
            and (path := initializers.owner(name)) is not None
        }
        if paths and not view.pass_through[number]:
            owners[number] = tuple(sorted(paths))
    return owners


def module_in_name(name: str, tree: ModuleTree) -> str | None:
    """The module of the tree that the scopes in a name tell; None without one.

    A container may appear twice (`layer/layer.0`), as in TorchScript's names. Operators may follow
    the module, with additions of tools (`fc/MatMul/Fusion`). If any other step is no module of the
    tree, the module is unknown.
    """
    path = stem = ""
    for step in (unquote(step) for step in name.split("/")[:-1] if step):
        doubled = bool(path) and step.startswith(path.removeprefix(stem).removeprefix(".") + ".")
        candidates = [f"{path}.{step}" if path else step]
        candidates += [f"{stem}.{step}" if stem else step] * doubled
        module = next((candidate for candidate in candidates if candidate in tree), None)
        if module is None:
            return tree.canonical(path) if path and onnx.defs.has(step.partition("_")[0]) else None
        stem = module.removesuffix(step).removesuffix(".")
        path = module
    return tree.canonical(path) if path else None


def resolve_relative_tags(
    tags: Mapping[NodeKey, str],
    model: onnx.ModelProto,
    graph: ModelGraph,
    tree: ModuleTree,
    parameters: Mapping[str, str],
    paths: Mapping[str, str],
) -> dict[NodeKey, str]:
    """The tags of nodes that another tool took out of functions, where they are relative.

    Weights tell the module of the call of some of these nodes. The calls follow each other in the
    file, each a copy of one body: that tells where one ends and the next begins.

    Args:
        tags: The tag of each tagged node; relative ones do not begin with a slash.
        model: The model.
        graph: Its nodes.
        tree: The module tree in the file.
        parameters: Initializer name to parameter, as the file says.
        paths: Module path by tag.

    Returns:
        The absolute tags of the nodes whose call is known.
    """
    owners = weight_owners_by_node(model, graph, tree, parameters)
    tag_of = {path: tag for tag, path in paths.items()}
    bases: dict[int, str] = {}
    for number, modules in owners.items():
        relative = tags.get(graph.keys[number])
        absolute = tag_of.get(modules[0]) if len(modules) == 1 else None
        if relative is not None and absolute is not None:
            base = _base(absolute, relative)
            if base is not None:
                bases[number] = base
    resolved: dict[NodeKey, str] = {}
    for run in _relative_runs(tags, graph):
        signatures = [(tags[graph.keys[n]], graph.nodes[n].op_type) for n in run]
        calls = {place: bases[number] for place, number in enumerate(run) if number in bases}
        for place, base in _spread(calls, signatures).items():
            tag = signatures[place][0]
            absolute = _absolute(tag, base)
            if absolute in paths:
                resolved[graph.keys[run[place]]] = absolute
    return resolved


def _base(tag: str, relative: str) -> str | None:
    """The tag that a relative one is relative to; None where they do not agree."""
    if relative == ".":
        return tag
    ending = relative if relative.startswith(".") else f"/{relative}"
    return tag.removesuffix(ending) if tag.endswith(ending) else None


def _absolute(relative: str, base: str) -> str:
    if relative == ".":
        return base
    return base + relative if relative.startswith(".") else f"{base}/{relative}"


def _relative_runs(tags: Mapping[NodeKey, str], graph: ModelGraph) -> Iterator[list[int]]:
    """Numbers of relative nodes that follow each other; untagged nodes between them are skipped."""
    run: list[int] = []
    for number, key in enumerate(graph.keys):
        tag = tags.get(key)
        if tag is not None and not tag.startswith("/"):
            run.append(number)
        elif tag is not None and run:
            yield run
            run = []
    if run:
        yield run


def _spread(calls: Mapping[int, str], signatures: list[tuple[str, str]]) -> dict[int, str]:
    """The call of each place of a run, derived from the places where it is known.

    If a call appears again after another call, only its later places count.
    """
    places = sorted(calls)
    order = [base for base, _ in groupby(calls[place] for place in places)]
    firsts = {calls[place]: place for place in reversed(places)}
    if not places or len(firsts) < len(order):
        return dict(calls)
    lead = places[0]
    starts: dict[int, str] = {}
    for base, first in firsts.items():
        start = first - lead
        if signatures[start : first + 1] != signatures[: lead + 1]:
            return dict(calls)
        starts[start] = base
    spread: dict[int, str] = {}
    base = calls[lead]
    for place in range(len(signatures)):
        base = spread[place] = starts.get(place, base)
    return spread
