"""Evidence *carried*: what a file says about its own hierarchy, where there is no record.

Six schemes are known, and the first that any node uses is read: our metadata; the metadata of
torch's exporter; tag attributes of older tools; names by which torch's exporters scope nodes
(`/encoder/layer.0/attention/MatMul`); other names that nest (`model/dense/MatMul`); and, for the
nodes that read weights, the names of these (`encoder.layer.0.attention.query.weight`).
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import msgspec
import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import EvidenceKind, TagStyle
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import EmbeddedTree, ModuleTree
from modelexport.hierarchy.source_lines import node_lines
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    ATTRIBUTES,
    OURS,
    SCOPED_NAMES,
    TREE_NAMES,
    CarriedHierarchy,
    metadata_of,
    path_of_tag,
    tree_of_tags,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.embedded import (
    embedded_names,
    embedded_parameters,
    embedded_rules,
    embedded_tree,
)
from modelexport.rewriter.matching.evidence.nested_names import read_nested_names
from modelexport.rewriter.matching.evidence.scoped_names import read_scoped_names
from modelexport.rewriter.matching.evidence.third_party_names import (
    carried_claims,
    read_tag_attributes,
    read_torch_metadata,
    tag_attributes,
)
from modelexport.rewriter.matching.evidence.tree_names import (
    TAGS_ARE_LOST,
    claims_by_tree,
    resolve_relative_tags,
)
from modelexport.rewriter.matching.evidence.weight_names import read_weight_names
from modelexport.support.decode_errors import DECODE_ERRORS

_ENTRIES = (keys.TAG, keys.EVIDENCE, keys.CALL, keys.COVERS, keys.SOURCE)
"""The metadata of nodes that matters here."""

_ADDED = re.compile(r"[^A-Za-z0-9]")
"""Characters at which a tool's addition to a name may begin: `_quant`, `__12`, `/Fused`, `:0`."""


def read_carried_hierarchy(
    model: onnx.ModelProto, graph: ModelGraph, where: str, similar: Tagger | None = None
) -> CarriedHierarchy | None:
    """The hierarchy that a file carries; None when it carries none.

    Args:
        model: The model.
        graph: Its nodes.
        where: The file, for messages.
        similar: The tagger of another file, which is used for this one, too, if the module tree
            and the rules that annotating wrote into both are equal. Most of its tags are written
            already.

    Raises:
        FileProblem: An entry of ours cannot be read.
    """
    embedded = embedded_tree(model, where)
    tagger = None if embedded is None else _embedded_tagger(embedded, where, similar)
    return (
        _read_metadata(model, graph, tagger, where)
        or _read_injected(model, graph, tagger, where)
        or read_torch_metadata(model, graph)
        or read_tag_attributes(graph)
        or read_scoped_names(model, graph)
        or read_nested_names(model, graph)
        or read_weight_names(model, graph)
    )


def _embedded_tagger(embedded: EmbeddedTree, where: str, similar: Tagger | None) -> Tagger:
    """Writes the tags of an embedded tree; a similar tagger, if it writes the same ones."""
    tagger = Tagger(ModuleTree(embedded.modules), embedded_rules(embedded, where))
    return similar if similar is not None and similar.is_like(tagger) else tagger


def refuse_lossy(carried: CarriedHierarchy, rules: TagRules, where: str) -> None:
    """Refuse to rewrite tags without the information that other rules need.

    Raises:
        UsageError: The file's tags were cut, rolled up or written by class, and other ones
            are asked for.
    """
    old = carried.rules
    if old not in {TagRules(), rules}:
        depth = "" if old.depth is None else f" --depth {old.depth}"
        raise UsageError(
            f"{where}: its tags were written with --tag-style {old.style} --torch-nn "
            f"{old.torch_nn}{depth}: repeat these options, or give the record with --record."
        )


def _read_metadata(
    model: onnx.ModelProto, graph: ModelGraph, tagger: Tagger | None, where: str
) -> CarriedHierarchy | None:
    """The tags that annotating wrote into the metadata of nodes."""
    numbers, entries = _read_entries(graph.nodes)
    tags = dict.fromkeys(entry[keys.TAG] for entry in entries if keys.TAG in entry)
    if not tags:
        return None
    parameters = embedded_parameters(model, where)
    paths, absolute = None, {}
    if tagger is not None:
        paths = tagger.paths
        if not all(tag.startswith("/") for tag in tags):
            tag_of = {
                key: entries[number][keys.TAG]
                for key, number in zip(graph.keys, numbers, strict=True)
                if keys.TAG in entries[number]
            }
            absolute = resolve_relative_tags(tag_of, model, graph, tagger.tree, parameters, paths)
    else:
        tagger = Tagger(tree_of_tags(tags))
    path_of = {tag: _path(tag, paths) for tag in (*tags, *absolute.values())}
    own_paths = [path_of[e[keys.TAG]] if keys.TAG in e else None for e in entries]
    shared = [_claim(path, e, paths) for path, e in zip(own_paths, entries, strict=True)]
    claims = Claims()
    for key, number in zip(graph.keys, numbers, strict=True):
        claim, entry = shared[number], entries[number]
        if absolute and key in absolute:
            claim = _claim(path_of[absolute[key]], entry, paths)
        if claim is not None:
            claims.by_node[key] = claim
        elif keys.TAG in entry:
            claims.reasons[key] = _unknown_tag(entry[keys.TAG])
    lines = {n: node_lines(entry) for n, entry in enumerate(entries) if keys.SOURCE in entry}
    pairs = zip(graph.keys, numbers, strict=True) if lines else ()
    source_lines = {key: lines[number] for key, number in pairs if number in lines}
    return CarriedHierarchy(OURS, tagger, claims, parameters, source_lines=source_lines)


def _read_entries(nodes: Iterable[onnx.NodeProto]) -> tuple[list[int], list[dict[str, str]]]:
    """The entries of nodes that matter here. Nodes with equal ones share them.

    Returns:
        For each node, the number of its entries; and the entries by number.
    """
    numbers: dict[tuple[str | None, ...], int] = {}
    of_nodes = []
    for node in nodes:
        texts = tuple(map(metadata_of(node).get, _ENTRIES))
        of_nodes.append(numbers.setdefault(texts, len(numbers)))
    return of_nodes, [
        {key: text for key, text in zip(_ENTRIES, texts, strict=True) if text is not None}
        for texts in numbers
    ]


def _unknown_tag(tag: str) -> str:
    if tag.startswith("/"):
        return f"its tag {tag} is not in the module tree that the file carries"
    return (
        f"its tag {tag} is that of a node in a function, and it is not known of which call: "
        "give --from ANNOTATED.onnx or --record"
    )


def _path(tag: str, paths: Mapping[str, str] | None) -> str | None:
    """The module path of a tag, by the tags of the file's module tree if it carries one."""
    return path_of_tag(tag) if paths is None else paths.get(tag)


def _claim(
    path: str | None, entry: Mapping[str, str], paths: Mapping[str, str] | None
) -> Claim | None:
    """What the entries of a node claim; None for a tag without a module."""
    if path is None:
        return None
    kind = entry.get(keys.EVIDENCE, EvidenceKind.CARRIED)
    call, covers = entry.get(keys.CALL), entry.get(keys.COVERS)
    return Claim(
        path,
        kind,
        () if covers is None else _covers(covers, paths),
        None if call is None else keys.read_call_number(call),
    )


def _covers(text: str, paths: Mapping[str, str] | None) -> tuple[str, ...]:
    try:
        tags = msgspec.json.decode(text, type=list[str])
    except DECODE_ERRORS:
        return ()  # the tag itself is still good; `validate` reports a broken list
    return tuple(path for tag in tags if (path := _path(tag, paths)) is not None)


def _read_injected(
    model: onnx.ModelProto, graph: ModelGraph, tagger: Tagger | None, where: str
) -> CarriedHierarchy | None:
    """Attributes or names that annotating wrote, without metadata on nodes but with our tree."""
    if tagger is None:
        return None
    tree, rules, paths = tagger.tree, tagger.rules, tagger.paths
    parameters = embedded_parameters(model, where)
    modules = {k: paths[tag] for k, tag in tag_attributes(graph).items() if tag in paths}
    if modules:
        claims = carried_claims(modules)
        return CarriedHierarchy(ATTRIBUTES, tagger, claims, parameters)
    modules = _modules_of_names(graph, tree, embedded_names(model, where))
    if modules:
        claims = carried_claims(modules)
        by_path = Tagger(tree, TagRules(TagStyle.PATH, rules.torch_nn, rules.depth))
        return CarriedHierarchy(SCOPED_NAMES, by_path, claims, parameters)
    if read_torch_metadata(model, graph) is not None:
        return None
    claims = claims_by_tree(model, graph, tree, parameters)
    if not claims.by_node:
        return None
    notes = (TAGS_ARE_LOST,)
    return CarriedHierarchy(TREE_NAMES, tagger, claims, parameters, notes)


def _modules_of_names(
    graph: ModelGraph, tree: ModuleTree, names: Mapping[str, str | None]
) -> dict[NodeKey, str]:
    """The module in each name that annotating gave to a node, even if a tool added to the name."""
    modules = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        written = _written_name(node.name, names) if names else None
        if written is not None:
            path = ".".join(map(unquote, written.split("/")[1:-1]))
            if path in tree:
                modules[key] = path
    return modules


def _written_name(name: str, names: Mapping[str, str | None]) -> str | None:
    """The longest name given by annotating with which a name begins; None if there is none."""
    ends = [len(name), *(match.start() for match in reversed(list(_ADDED.finditer(name))))]
    return next((name[:end] for end in ends if name[:end] in names), None)
