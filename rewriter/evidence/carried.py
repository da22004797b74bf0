"""Evidence *carried*: what a file says about its own hierarchy, for want of a record.

Five schemes are known, tried in this order; the first that any node uses is read:
our metadata, the metadata of torch's exporter, tag attributes of older tools, names by
which torch's exporters scope nodes (`/encoder/layer.0/attention/MatMul`), and, for the nodes
that read weights, the names of these (`encoder.layer.0.attention.query.weight`).
"""

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
import onnx

from hierarchy import keys
from hierarchy.errors import OnnxFileError, UsageError
from hierarchy.graphs import MAIN
from hierarchy.module_tree import ROOT, EmbeddedTree, Module, ModuleTree
from hierarchy.tags import Tagger, TagRules, TagStyle, TorchNN, escape, well_formed
from rewriter.evidence.claims import Claim, Claims, Kind
from rewriter.flow import Flow
from rewriter.ownership import initializers
from rewriter.wiring import Contracted, Wiring

if TYPE_CHECKING:
    from hierarchy.graphs import NodeKey

OURS = "modelexport's own keys"
TORCH = "torch's metadata"
ATTRIBUTES = "tag attributes"
SCOPED_NAMES = "scoped node names"
WEIGHT_NAMES = "initializer names"


class Carried(msgspec.Struct):
    """The hierarchy that a file carries.

    Attributes:
        scheme: Which of the schemes it was read from.
        modules: The module tree, as far as the scheme tells it.
        claims: The module of each node that has one.
        rules: How its tags were written, where that loses something.
        parameters: Initializer name to parameter, where the file says so.
    """

    scheme: str
    modules: tuple[Module, ...]
    claims: Claims
    rules: TagRules = TagRules()
    parameters: dict[str, str] = {}


def read(model: onnx.ModelProto, flow: Flow, where: str) -> Carried | None:
    """What the file carries, or None; `where` names the file in errors."""
    return (
        _read_ours(model, flow, where)
        or _read_injected(model, flow, where)
        or _read_torch(model, flow)
        or _read_attributes(flow)
        or _read_names(model, flow)
        or _read_weight_names(model, flow)
    )


def metadata(holder: onnx.NodeProto | onnx.ModelProto) -> dict[str, str]:
    """The metadata of a node or model."""
    return {entry.key: entry.value for entry in holder.metadata_props}


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
        raise OnnxFileError(f"{where}: its parameter names cannot be read ({error}).") from error


def embedded_names(model: onnx.ModelProto, where: str) -> dict[str, str | None]:
    """Names that annotating gave to nodes, each with the one before; None for none."""
    text = metadata(model).get(keys.NAMES, "{}")
    try:
        return msgspec.json.decode(text, type=dict[str, str | None])
    except msgspec.DecodeError as error:
        raise OnnxFileError(f"{where}: its earlier node names cannot be read ({error}).") from error


def _read_ours(model: onnx.ModelProto, flow: Flow, where: str) -> Carried | None:
    entries = {k: metadata(n) for k, n in zip(flow.keys, flow.nodes, strict=True)}
    tags = {key: entry[keys.TAG] for key, entry in entries.items() if keys.TAG in entry}
    if not tags:
        return None
    embedded = embedded_tree(model, where)
    modules, paths, rules = _tree_of_tags(tags.values()), None, TagRules()
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
        kind = entries[key].get(keys.EVIDENCE, Kind.CARRIED)
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


def _read_torch(model: onnx.ModelProto, flow: Flow) -> Carried | None:
    scopes: dict[NodeKey, str] = {}
    classes: dict[str, str] = {}
    for key, node in zip(flow.keys, flow.nodes, strict=True):
        entry = metadata(node) if node.metadata_props else {}
        names = _python_list(entry.get(keys.TORCH_NAME_SCOPES))[:-1]  # the last is the op
        if not names or names[0] != ROOT:
            continue  # torch writes other things here for ops that it made up itself
        scopes[key] = names[-1]
        kinds = _python_list(entry.get(keys.TORCH_CLASS_HIERARCHY))
        classes.update(zip(names, kinds, strict=False))
    if not scopes:
        return None
    prefix = _wrapper(scopes.values(), _owners(model))
    unwrapped = {key: _unwrap(path, prefix) for key, path in scopes.items()}
    known = {_unwrap(p, prefix): c for p, c in classes.items() if p != ROOT or not prefix}
    modules = _modules(unwrapped.values(), known, model.graph.name)
    by_node = {key: Claim(path, Kind.CARRIED) for key, path in unwrapped.items()}
    return Carried(TORCH, modules, Claims(by_node))


def _read_injected(model: onnx.ModelProto, flow: Flow, where: str) -> Carried | None:
    """Attributes or names that we wrote without metadata on the nodes, but with our tree."""
    embedded = embedded_tree(model, where)
    if embedded is None:
        return None
    tree, rules = ModuleTree(embedded.modules), embedded_rules(embedded, where)
    paths = tag_paths(tree, rules)
    found = {k: paths[tag] for k, tag in _tag_attributes(flow).items() if tag in paths}
    scheme = ATTRIBUTES
    if not found:
        scheme, rules = SCOPED_NAMES, TagRules(TagStyle.PATH, rules.torch_nn, rules.depth)
        given = embedded_names(model, where)
        for key, node in zip(flow.keys, flow.nodes, strict=True):
            path = ".".join(map(unquote, node.name.split("/")[1:-1]))
            if node.name in given and path in tree:
                found[key] = path
    if not found:
        return None
    claims = Claims({key: Claim(path, Kind.CARRIED) for key, path in found.items()})
    parameters = embedded_parameters(model, where)
    return Carried(scheme, embedded.modules, claims, rules, parameters)


def _python_list(text: str | None) -> list[str]:
    """Read a list that torch wrote with `repr`."""
    try:
        found = ast.literal_eval(text or "[]")
    except (SyntaxError, ValueError):
        return []  # somebody else's value under torch's key
    return [str(entry) for entry in found] if isinstance(found, list) else []


def _owners(model: onnx.ModelProto) -> set[str]:
    """Module paths that initializers named like parameters speak of."""
    names = (weight.name for weight in model.graph.initializer)
    return {name.rpartition(".")[0] for name in names if "." in name}


def _wrapper(scopes: Iterable[str], owners: set[str]) -> str:
    """The module around the model that was exported, when the weights' names lack it."""
    paths = {path for path in scopes if path}
    first = {path.split(".", maxsplit=1)[0] for path in paths}
    if len(first) != 1:
        return ""
    prefix = next(iter(first))
    inside = {_unwrap(path, prefix) for path in paths}
    return prefix if len(inside & owners) > len(paths & owners) else ""


def _unwrap(path: str, prefix: str) -> str:
    if prefix and (path == prefix or path.startswith(prefix + ".")):
        return path[len(prefix) + 1 :]
    return path


def _read_attributes(flow: Flow) -> Carried | None:
    good = {key: tag for key, tag in _tag_attributes(flow).items() if well_formed(tag)}
    if not good:
        return None
    by_node = {key: Claim(path_of_tag(tag), Kind.CARRIED) for key, tag in good.items()}
    return Carried(ATTRIBUTES, _tree_of_tags(good.values()), Claims(by_node))


def _tag_attributes(flow: Flow) -> "dict[NodeKey, str]":
    tags: dict[NodeKey, str] = {}
    for key, node in zip(flow.keys, flow.nodes, strict=True):
        for attribute in node.attribute:
            if attribute.name in {keys.TAG_ATTRIBUTE, keys.LEGACY_TAG_ATTRIBUTE}:
                tags[key] = attribute.s.decode(errors="replace")
    return tags


def path_of_tag(tag: str) -> str:
    """The module path in a tag of style `path`.

    >>> path_of_tag("/Net/layer.0/fc")
    'layer.0.fc'
    """
    root, *rest = tag.removeprefix("/").split("/")
    number = root.partition(".")[2]  # a leading number is joined to the root's class
    return ".".join(unquote(step) for step in [*filter(None, [number]), *rest])


def _tree_of_tags(tags: Iterable[str]) -> tuple[Module, ...]:
    found = list(tags)
    root = found[0].removeprefix("/").split("/")[0].partition(".")[0]
    return _modules(map(path_of_tag, found), {ROOT: unquote(root)}, root)


def _read_names(model: onnx.ModelProto, flow: Flow) -> Carried | None:
    owners = _owners(model)
    paths: dict[NodeKey, str] = {}
    for key, node in zip(flow.keys, flow.nodes, strict=True):
        steps = node.name.split("/")
        if len(steps) > 1 and not steps[0] and re.fullmatch(rf"{node.op_type}(_\d+)?", steps[-1]):
            paths[key] = ".".join(_undoubled(steps[1:-1], owners))
    if not any(paths.values()):
        return None
    prefix = _wrapper(paths.values(), owners)
    by_node = {k: Claim(_unwrap(path, prefix), Kind.CARRIED) for k, path in paths.items()}
    modules = _modules((claim.module for claim in by_node.values()), {}, model.graph.name)
    return Carried(SCOPED_NAMES, modules, Claims(by_node))


def _read_weight_names(model: onnx.ModelProto, flow: Flow) -> Carried | None:
    """Nodes that read weights which are called like parameters: `module.path.weight`."""
    wiring = Wiring.of_model(flow)
    seen = Contracted(wiring, {})  # a weight may be transposed, cast or dequantised on its way
    named = {value: wiring.names[value][1].rpartition(".") for value in wiring.weights}
    owners = {v: path for v, (path, _, name) in named.items() if path and name.isidentifier()}
    tied = _tied(model, seen, owners)
    claims = Claims()
    for node, key in enumerate(flow.keys):
        weights = [value for value in seen.sources[node] if value in owners]
        paths = tuple(sorted({owners[value] for value in weights if value not in tied}))
        if not weights:
            claims.reasons[key] = "it reads no weight whose name tells a module"
        elif not paths:
            claims.reasons[key] = "the weight that it reads may be tied, so its name tells nothing"
        elif not seen.passing[node]:
            above = paths[0] if len(paths) == 1 else _common(paths)
            claims.by_node[key] = Claim(above, Kind.CARRIED, paths if len(paths) > 1 else ())
    if not claims.by_node:
        return None
    modules = _modules(sorted(_owners(model)), {}, model.graph.name)
    return Carried(WEIGHT_NAMES, modules, claims)


def _tied(model: onnx.ModelProto, seen: Contracted, owners: Mapping[int, str]) -> set[int]:
    """Weights whose name may be that of another module: several nodes read them, or a copy.

    An exporter that lays a tied matrix out anew for one of its readers gives that copy a name
    of its own making; it is known by its size.
    """
    found = {value for value in owners if len(seen.reading(value)) > 1}
    wiring = seen.wiring
    shapes = initializers(model)
    unnamed = {
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) > 1 and wiring.number(MAIN, name) not in owners
    }
    for value in owners:
        shape = shapes.get(wiring.names[value][1], ())
        if len(shape) > 1 and math.prod(shape) in unnamed:
            found.add(value)
    return found


def _common(paths: tuple[str, ...]) -> str:
    return ModuleTree(_modules(paths, {}, "")).common_ancestor(paths)


def _undoubled(steps: list[str], owners: set[str]) -> list[str]:
    """Steps without the doubling of called containers: `layer/layer.0` is `layer.0`.

    Unless a weight's name says that there is a module of the doubled path.
    """
    found: list[str] = []
    for step in steps:
        if found and step.startswith(found[-1] + "."):
            doubled = ".".join([*found, step])
            if not any(path == doubled or path.startswith(doubled + ".") for path in owners):
                found.pop()
        found.append(step)
    return found


def _modules(paths: Iterable[str], classes: dict[str, str], root: str) -> tuple[Module, ...]:
    """A tree of the given paths and all above them; a class is known by its qualified name."""
    every = {ROOT: None}
    for path in paths:
        every.update(dict.fromkeys(_upwards(path)))
    if not classes.get(ROOT):
        classes = {**classes, ROOT: escape(root).replace(".", "_") or "model"}
    return tuple(_module(path, classes.get(path, "")) for path in every)


def _upwards(path: str) -> Iterator[str]:
    names = path.split(".") if path else []
    for length in range(1, len(names) + 1):
        yield ".".join(names[:length])


def _module(path: str, qualified: str) -> Module:
    where, _, name = qualified.rpartition(".")
    return Module(path, name, where)
