"""Tags inside functions: relative to the module that the function is made from.

An absolute tag starts with a slash; a relative one does not. It is relative to the tag of the
call node. `.` is the module itself. A numeric child that is joined to the module by a dot
(`layers.0.1` in `layers.0`) starts with a dot. Call numbers are relative too: the second call
of a module within each call of the module around it is 1.
"""

from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import namespace

ITSELF = "."
"""The relative tag of the module itself."""


def relative(tag: str, base: str) -> str:
    """A tag as it is written inside a function; unchanged if it is not below the module.

    >>> relative("/Net/layers.0/fc", "/Net/layers.0")
    'fc'
    """
    if tag == base:
        return ITSELF
    rest = tag.removeprefix(base)
    if rest == tag or rest[0] not in "/.":
        return tag
    return rest.removeprefix("/")


def absolute(tag: str, base: str) -> str:
    """The tag that a relative one stands for in one call.

    >>> absolute("fc", "/Net/layers.0")
    '/Net/layers.0/fc'
    """
    if tag.startswith("/") or base == ITSELF:
        return tag
    if tag == ITSELF:
        return base
    return base + tag if tag.startswith(ITSELF) else f"{base}/{tag}"


class TagRebaser:
    """Rewrites the tags and call numbers of nodes that move into functions or out of them.

    Args:
        tree: The modules.
        paths: Module path by absolute tag.
    """

    def __init__(self, tree: ModuleTree, paths: dict[str, str]) -> None:
        self._tree = tree
        self._paths = paths

    def make_relative(self, node: onnx.NodeProto, base: str, call: int) -> None:
        """Make a node and those in its subgraphs relative to one call of a module.

        Args:
            node: The node; it is changed in place.
            base: Tag of the module.
            call: Number of the call.
        """
        for inner in _with_inner_nodes(node):
            times = self._times_per_call(_tag(inner), base)
            _update_call_number(inner, partial(_relative_number, call=call, times=times))
            _update_tags(inner, partial(relative, base=base))

    def make_absolute(self, node: onnx.NodeProto, base: str, call: int) -> None:
        """Make a relative node and those in its subgraphs nodes of one call.

        Args:
            node: The node; it is changed in place.
            base: Tag of the call node.
            call: Number of the call.
        """
        for inner in _with_inner_nodes(node):
            _update_tags(inner, partial(absolute, base=base))
            times = self._times_per_call(_tag(inner), base)
            _update_call_number(inner, partial(_absolute_number, call=call, times=times))

    def _times_per_call(self, tag: str | None, base: str) -> int:
        """How often a module runs in each call of another module; 0 if unknown."""
        inner, outer = self._times_called(tag), self._times_called(base)
        return inner // outer if inner and outer and inner % outer == 0 else 0

    def _times_called(self, tag: str | None) -> int | None:
        path = None if tag is None else self._paths.get(tag)
        return self._tree[path].calls if path is not None and path in self._tree else None


def _relative_number(number: int, call: int, times: int) -> int | None:
    within = number - call * times
    return within if 0 <= within < times else None


def _absolute_number(number: int, call: int, times: int) -> int | None:
    return number + call * times if times else None


def _with_inner_nodes(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """A node and all nodes in its subgraphs."""
    yield node
    for _, subgraph in subgraphs(node) if node.attribute else ():
        for inner in subgraph.node:
            yield from _with_inner_nodes(inner)


def _tag(node: onnx.NodeProto) -> str | None:
    return next((entry.value for entry in node.metadata_props if entry.key == keys.TAG), None)


def _update_call_number(node: onnx.NodeProto, update: Callable[[int], int | None]) -> None:
    """Update a node's call number, if it has one; None removes it."""
    for position, entry in enumerate(node.metadata_props):
        if entry.key == keys.CALL:
            call = keys.read_call_number(entry.value)
            number = None if call is None else update(call)
            if number is None:
                del node.metadata_props[position]
            else:
                entry.value = str(number)
            return


def _update_tags(node: onnx.NodeProto, update: Callable[[str], str]) -> None:
    """Update every tag of a node: in its metadata and in its tag attribute."""
    tag = None
    for entry in node.metadata_props:
        if entry.key == keys.TAG:
            tag = entry.value = update(entry.value)
        elif entry.key == keys.COVERS:
            covers = msgspec.json.decode(entry.value, type=list[str])
            entry.value = msgspec.json.encode([update(covered) for covered in covers]).decode()
        elif entry.key == keys.NAMESPACE and tag is not None:
            entry.value = namespace(tag)
    for attribute in node.attribute:
        if attribute.name == keys.TAG_ATTRIBUTE:
            attribute.s = update(attribute.s.decode()).encode()
