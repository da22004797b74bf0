"""Evidence *carried*: what a file says about its own hierarchy, for want of a record.

Five schemes are known, tried in this order; the first that any node uses is read:
our metadata, the metadata of torch's exporter, tag attributes of older tools, names by
which torch's exporters scope nodes (`/encoder/layer.0/attention/MatMul`), and, for the nodes
that read weights, the names of these (`encoder.layer.0.attention.query.weight`).
"""

from urllib.parse import unquote

import msgspec
import onnx

from modelexport.errors import OnnxFileError, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import EvidenceKind, TagStyle, TorchNN
from modelexport.hierarchy.module_tree import EmbeddedTree, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_trees import (
    ATTRIBUTES,
    OURS,
    SCOPED_NAMES,
    WEIGHT_NAMES,
    Carried,
    metadata,
    path_of_tag,
    tree_of_tags,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.third_party_names import (
    read_attributes,
    read_names,
    read_torch,
    read_weight_names,
    tag_attributes,
)
from modelexport.support.decode_errors import explain_decode_error

__all__ = [
    "OURS",
    "WEIGHT_NAMES",
    "Carried",
    "embedded_names",
    "embedded_parameters",
    "embedded_rules",
    "embedded_tree",
    "metadata",
    "read",
    "refuse_lossy",
    "tag_paths",
]


def read(model: onnx.ModelProto, graph: ModelGraph, where: str) -> Carried | None:
    """What the file carries, or None; `where` names the file in errors."""
    return (
        _read_ours(model, graph, where)
        or _read_injected(model, graph, where)
        or read_torch(model, graph)
        or read_attributes(graph)
        or read_names(model, graph)
        or read_weight_names(model, graph)
    )


def embedded_rules(embedded: EmbeddedTree, where: str) -> TagRules:
    """The rules by which the tags of an annotated file were written."""
    try:
        return TagRules(TagStyle(embedded.tag_style), TorchNN(embedded.torch_nn), embedded.depth)
    except ValueError as error:
        raise OnnxFileError(f"{where}: its tags are of an unknown kind ({error}).") from error


def embedded_tree(model: onnx.ModelProto, where: str) -> EmbeddedTree | None:
    """The module tree that an annotated file carries."""
    text = metadata(model).get(keys.MODULES)
    return None if text is None else EmbeddedTree.from_json(text, where)


def embedded_parameters(model: onnx.ModelProto, where: str) -> dict[str, str]:
    """Initializer name to parameter, as an annotated file says."""
    text = metadata(model).get(keys.PARAMETERS, "{}")
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise OnnxFileError(
            f"{where}: its parameter names cannot be read ({explain_decode_error(error)})."
        ) from error


def embedded_names(model: onnx.ModelProto, where: str) -> dict[str, str | None]:
    """Names that annotating gave to nodes, each with the one before; None for none."""
    text = metadata(model).get(keys.NAMES, "{}")
    try:
        return msgspec.json.decode(text, type=dict[str, str | None])
    except msgspec.DecodeError as error:
        raise OnnxFileError(
            f"{where}: its earlier node names cannot be read ({explain_decode_error(error)})."
        ) from error


def _read_ours(model: onnx.ModelProto, graph: ModelGraph, where: str) -> Carried | None:
    entries = {k: metadata(n) for k, n in zip(graph.keys, graph.nodes, strict=True)}
    tags = {key: entry[keys.TAG] for key, entry in entries.items() if keys.TAG in entry}
    if not tags:
        return None
    embedded = embedded_tree(model, where)
    modules, paths, rules = tree_of_tags(tags.values()), None, TagRules()
    if embedded is not None:
        modules, rules = embedded.modules, embedded_rules(embedded, where)
        paths = tag_paths(ModuleTree(modules), rules)
    claims = Claims()
    for key, tag in tags.items():
        path = path_of_tag(tag) if paths is None else paths.get(tag)
        if path is None:
            claims.reasons[key] = f"its tag {tag} is not of the module tree that the file carries"
            continue
        covers = _covers(entries[key].get(keys.COVERS), paths)
        kind = entries[key].get(keys.EVIDENCE, EvidenceKind.CARRIED)
        claims.by_node[key] = Claim(path, kind, covers, _call(entries[key].get(keys.CALL)))
    return Carried(OURS, modules, claims, rules, embedded_parameters(model, where))


def _call(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _covers(text: str | None, paths: dict[str, str] | None) -> tuple[str, ...]:
    if text is None:
        return ()
    try:
        tags = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return ()  # a broken list is for validate to report; the tag itself is still good
    found = [path_of_tag(tag) if paths is None else paths.get(tag) for tag in tags]
    return tuple(path for path in found if path is not None)


def tag_paths(tree: ModuleTree, rules: TagRules) -> dict[str, str]:
    """Every tag that the rules can write, with the first module path that has it."""
    tagger = Tagger(tree, rules)
    found: dict[str, str] = {}
    for module in tree:
        found.setdefault(tagger.tag(module.path), tagger.resolve(module.path))
    return found


def refuse_lossy(carried: Carried, rules: TagRules, where: str) -> None:
    """Refuse to rewrite tags that have lost what other rules would need.

    Raises:
        UsageError: The file's tags were cut, rolled up or written by class, and other ones
            are asked for.
    """
    if carried.rules not in {TagRules(), rules}:
        had = carried.rules
        depth = "" if had.depth is None else f" --depth {had.depth}"
        raise UsageError(
            f"{where}: its tags were written with --tag-style {had.style} --torch-nn "
            f"{had.torch_nn}{depth}: repeat these options, or give the record with --record."
        )


def _read_injected(model: onnx.ModelProto, graph: ModelGraph, where: str) -> Carried | None:
    """Attributes or names that we wrote without metadata on the nodes, but with our tree."""
    embedded = embedded_tree(model, where)
    if embedded is None:
        return None
    tree, rules = ModuleTree(embedded.modules), embedded_rules(embedded, where)
    paths = tag_paths(tree, rules)
    found = {k: paths[tag] for k, tag in tag_attributes(graph).items() if tag in paths}
    scheme = ATTRIBUTES
    if not found:
        scheme, rules = SCOPED_NAMES, TagRules(TagStyle.PATH, rules.torch_nn, rules.depth)
        given = embedded_names(model, where)
        for key, node in zip(graph.keys, graph.nodes, strict=True):
            path = ".".join(map(unquote, node.name.split("/")[1:-1]))
            if node.name in given and path in tree:
                found[key] = path
    if not found:
        return None
    claims = Claims({key: Claim(path, EvidenceKind.CARRIED) for key, path in found.items()})
    parameters = embedded_parameters(model, where)
    return Carried(scheme, embedded.modules, claims, rules, parameters)
