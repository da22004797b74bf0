"""Tags that contradict the graph.

Two questions are asked of each tagged node. Are its weights those of its module? A module
may use weights of its own, of modules inside it (a parent that calls a function on a child's
weight), and of modules around it (a parameter handed down). And is the module within reach
of the neighbours: a node between two nodes of one layer does not belong to another layer.
"""

from collections.abc import Iterable, Iterator

import msgspec

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ModuleTree, is_within
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claims


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something wrong with a file.

    Attributes:
        check: The check that found it.
        message: What is wrong, in a sentence.
        advice: What to do about it.
        node: Name or address of the node, when it is about one.
        module: Path or tag of the module, when it is about one.
    """

    check: str
    message: str
    advice: str
    node: str | None = None
    module: str | None = None


def describe(graph: ModelGraph, number: int) -> str:
    """A node in words: operator, name, and where it stands when that is not the main graph."""
    key, node = graph.keys[number], graph.nodes[number]
    name = node.name or f"#{key.position}"
    return f"{op_type(node)} {name}" + (f" in {key.graph}" if key.graph else "")


class Consistency:
    """Finds tags that contradict the graph.

    Args:
        graph: Its nodes, and how they depend on each other.
        tree: Its modules.
        claims: The module of each node.
        initializers: The parameters that its initializers hold.
    """

    def __init__(
        self,
        graph: ModelGraph,
        tree: ModuleTree,
        claims: Claims,
        initializers: InitializerParameters,
    ) -> None:
        self._graph = graph
        self._tree = tree
        self._initializers = initializers
        found = (claims.by_node.get(key) for key in graph.keys)
        self._modules = [None if claim is None else tree.canonical(claim.module) for claim in found]
        self._aliases: dict[str, list[str]] = {}
        for module in tree:
            if module.alias_of is not None:
                self._aliases.setdefault(module.alias_of, []).append(module.path)
        self._absent = initializers.absent()

    def faults(self) -> Iterator[Fault]:
        """Every contradiction."""
        for number, module in enumerate(self._modules):
            if module is not None:
                yield from self._foreign_weights(number, module)
                yield from self._out_of_reach(number, module)

    def _foreign_weights(self, number: int, module: str) -> Iterator[Fault]:
        if self._graph.is_auxiliary(number):
            return
        for name in self._graph.nodes[number].input:
            owner = self._initializers.owner(name)
            if owner is None or self._related(module, owner) or self._tied(name, module):
                continue
            yield Fault(
                "weights",
                f"it uses {self._initializers.parameters[name]}, a weight of {_path(owner)}, "
                f"but is tagged {_path(module)}",
                "annotate again with the record of this very file",
                describe(self._graph, number),
                module,
            )

    def _related(self, module: str, owner: str) -> bool:
        """Whether one of the two modules holds the other, by any of their paths."""
        left, right = self._paths(module), self._paths(owner)
        return any(is_within(a, b) or is_within(b, a) for a in left for b in right)

    def _paths(self, module: str) -> list[str]:
        return [module, *self._aliases.get(module, [])]

    def _tied(self, initializer: str, module: str) -> bool:
        """Whether the weight may be one of the module's own too, under another name.

        Tied parameters are one initializer; the others of them are held by none.
        """
        shape = sorted(self._initializers.shapes[initializer])
        return any(
            sorted(other) == shape and is_within(parameter.rpartition(".")[0], path)
            for parameter, other in self._absent.items()
            for path in self._paths(module)
        )

    def _out_of_reach(self, number: int, module: str) -> Iterator[Fault]:
        makers = self._known(self._graph.predecessors[number])
        users = self._known(self._graph.successors[number])
        if not makers or not users:
            return
        around = self._tree.common_ancestor(sorted(makers | users))
        if self._near(module, around) or self._near(module, self._by_any_path(makers | users)):
            return
        yield Fault(
            "reach",
            f"it is tagged {_path(module)}, but all its neighbours belong to {_path(around)}",
            "annotate again with the record of this very file",
            describe(self._graph, number),
            module,
        )

    def _near(self, module: str, around: str) -> bool:
        """Whether a module and the one around its neighbours hold one another."""
        return any(is_within(a, around) or is_within(around, a) for a in self._paths(module))

    def _by_any_path(self, modules: set[str]) -> str:
        """What is around modules that may have run under any of their paths.

        A module that stands in several places was called in one of them, but its nodes carry the
        first: between two calls of it there may be whatever is between these places.
        """
        return self._tree.common_ancestor(sorted(p for m in modules for p in self._paths(m)))

    def _known(self, numbers: Iterable[int]) -> set[str]:
        return {module for n in numbers if (module := self._modules[n]) is not None}


def _path(module: str) -> str:
    return module or "the root"
