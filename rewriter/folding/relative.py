"""Tags inside functions: relative to the module that the function is.

An absolute tag starts with a slash; a relative one does not, and the tag of the call node is
what it is relative to. `.` is the module itself. A numeric child that shares its step with
the module (`layers.0.1` in `layers.0`) starts with a dot. Call counts are relative too: the
second call of a module within each call of the module around it is 1.
"""

from collections.abc import Callable, Iterator

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import namespace

ITSELF = "."


def relative(tag: str, base: str) -> str:
    """A tag as it is written inside a function; as it is when it is not below the module.

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


class Rebasing:
    """Rewrites the tags and call counts of nodes that go into functions or come out.

    Args:
        tree: The modules.
        paths: Module path by absolute tag.
    """

    def __init__(self, tree: ModuleTree, paths: dict[str, str]) -> None:
        self._tree = tree
        self._paths = paths

    def into(self, node: onnx.NodeProto, base: str, call: int) -> None:
        """Write a node and those of its subgraphs relative to one call of a module."""
        for each in _nodes(node):
            times = self._times(_tag(each), base)
            _count(each, lambda n, times=times: _within(n - call * times, times))  # type: ignore[misc]
            _rewrite(each, lambda tag: relative(tag, base))

    def out_of(self, node: onnx.NodeProto, base: str, call: int) -> None:
        """Write a node and those of its subgraphs as those of one call."""
        for each in _nodes(node):
            _rewrite(each, lambda tag: absolute(tag, base))
            times = self._times(_tag(each), base)
            _count(each, lambda n, times=times: n + call * times if times else None)  # type: ignore[misc]

    def _times(self, tag: str | None, base: str) -> int:
        """How often a module runs in each call of another; 0 when unknown."""
        inner, outer = self._calls(tag), self._calls(base)
        return inner // outer if inner and outer and inner % outer == 0 else 0

    def _calls(self, tag: str | None) -> int | None:
        path = None if tag is None else self._paths.get(tag)
        return self._tree[path].calls if path is not None and path in self._tree else None


def _within(number: int, times: int) -> int | None:
    return number if 0 <= number < times else None


def _nodes(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    yield node
    for _, subgraph in subgraphs(node) if node.attribute else ():
        for inner in subgraph.node:
            yield from _nodes(inner)


def _tag(node: onnx.NodeProto) -> str | None:
    return next((entry.value for entry in node.metadata_props if entry.key == keys.TAG), None)


def _count(node: onnx.NodeProto, change: Callable[[int], int | None]) -> None:
    for number, entry in enumerate(node.metadata_props):
        if entry.key == keys.CALL:
            count = change(int(entry.value)) if entry.value.isdecimal() else None
            if count is None:
                del node.metadata_props[number]
            else:
                entry.value = str(count)
            return


def _rewrite(node: onnx.NodeProto, change: Callable[[str], str]) -> None:
    tag = None
    for entry in node.metadata_props:
        if entry.key == keys.TAG:
            tag = entry.value = change(entry.value)
        elif entry.key == keys.COVERS:
            covers = msgspec.json.decode(entry.value, type=list[str])
            entry.value = msgspec.json.encode([change(each) for each in covers]).decode()
        elif entry.key == keys.NAMESPACE and tag is not None:
            entry.value = namespace(tag)
    for attribute in node.attribute:
        if attribute.name == keys.TAG_ATTRIBUTE:
            attribute.s = change(attribute.s.decode()).encode()
