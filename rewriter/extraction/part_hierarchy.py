"""The hierarchy of a part: its modules, those around them, and what it has of their parameters."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.module_tree import ROOT, Module, ModuleTree, Parameter
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.matching import (
    embedded_names,
    embedded_parameters,
    embedded_rules,
    embedded_tree,
)
from modelexport.support.decode_errors import DECODE_ERRORS
from modelexport.support.repeated_fields import replace_messages


def trim_hierarchy(model: onnx.ModelProto, whole: PlacedFile) -> None:
    """Leave out what the metadata of a part says about modules and weights that it does not have.

    Args:
        model: The part, with the metadata of the whole; it is changed.
        whole: The whole file.
    """
    label = whole.path.name
    embedded = embedded_tree(model, label)
    if embedded is None:
        return
    tree = ModuleTree(embedded.modules)
    tagger = Tagger(tree, embedded_rules(embedded, label))
    claimed = embedded_parameters(model, label)
    part = _PartParameters(
        InitializerParameters(model, tree, claimed),
        InitializerParameters(whole.model, tree, claimed, whole.graph.graphs),
    )
    tags = _tags(model)
    working = {module.path for module in tree if tagger.tag(module.path) in tags}
    kept = _with_ancestors(tree, working | part.owners())
    modules = [part.trimmed(m, works=m.path in working) for m in tree if m.path in kept]
    node_names = {node.name for _, node in walk_nodes(model)}
    texts = {
        keys.MODULES: msgspec.structs.replace(embedded, modules=tuple(modules)).to_json(),
        keys.PARAMETERS: _text_of_present(claimed, part.of_part.shapes),
        keys.NAMES: _text_of_present(embedded_names(model, label), node_names),
    }
    for entry in model.metadata_props:
        entry.value = texts.get(entry.key, entry.value)
    kept_entries = [
        entry for entry in model.metadata_props if entry.value or entry.key not in texts
    ]
    replace_messages(model.metadata_props, kept_entries)


@dataclass(frozen=True)
class _PartParameters:
    """Which parameters a part has.

    Attributes:
        of_part, of_whole: The parameters in the initializers of the part, and of the whole.
    """

    of_part: InitializerParameters
    of_whole: InitializerParameters

    def owners(self) -> set[str]:
        """Paths of the modules whose parameters are in initializers of the part."""
        owners = map(self.of_part.owner, self.of_part.parameters)
        return {owner for owner in owners if owner is not None}

    def trimmed(self, module: Module, *, works: bool) -> Module:
        """A module with those of its parameters that are in the part.

        Args:
            module: The module.
            works: Whether it has nodes in the part. Then these may do the work of parameters that
                are in no initializer of the whole, because they were folded into something else.
        """
        return msgspec.structs.replace(
            module,
            parameters=tuple(p for p in module.parameters if self._has(module, p, works)),
            buffers=tuple(b for b in module.buffers if self._has(module, b, works)),
        )

    def _has(self, module: Module, parameter: Parameter, works: bool) -> bool:
        own = f"{module.path}.{parameter.name}" if module.path else parameter.name
        name = parameter.tied_to or own
        if self.of_part.has_initializer(name) or self.of_part.has_initializer(own):
            return True
        return works and not (
            self.of_whole.has_initializer(name) or self.of_whole.has_initializer(own)
        )


def _tags(model: onnx.ModelProto) -> set[str]:
    """The tags of all nodes, with those of the modules whose work fused nodes do."""
    tags: set[str] = set()
    for _, node in walk_nodes(model):
        for entry in node.metadata_props:
            if entry.key == keys.TAG:
                tags.add(entry.value)
            elif entry.key == keys.COVERS:
                tags.update(_decoded_covers(entry.value))
    return tags


def _decoded_covers(text: str) -> list[str]:
    """The tags in an entry; none where it is damaged."""
    try:
        return msgspec.json.decode(text, type=list[str])
    except DECODE_ERRORS:
        return []


def _with_ancestors(tree: ModuleTree, paths: Iterable[str]) -> set[str]:
    """Some modules under all their paths, with the modules around these."""
    kept = set(paths)
    kept |= {module.path for module in tree if module.alias_of in kept}
    for path in list(kept):
        while path:
            path = path.rpartition(".")[0]  # noqa: PLW2901 - goes up
            kept.add(path)
    return kept | {ROOT}


def _text_of_present(values: Mapping[str, str | None], names: Container[str]) -> str:
    """An entry of names, with what the part has of them; empty where it has none."""
    present = {name: value for name, value in values.items() if name in names}
    return msgspec.json.encode(present).decode() if present else ""
