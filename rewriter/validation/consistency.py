"""Tags that contradict the graph.

Two questions are asked of each tagged node:

- Are its weights those of its module? A module may use its own weights, those of modules inside
  it (a parent that calls a function on a child's weight), and those of modules around it (a
  parameter that was handed down).
- Is its module within reach of the neighbours? A node between two nodes of one layer does not
  belong to another layer.
"""

import math
from collections.abc import Iterable, Iterator

from modelexport.hierarchy.module_tree import ModuleTree, is_within
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import Claims
from modelexport.rewriter.validation.checked_file import describe_node
from modelexport.rewriter.validation.results import Fault

_ADVICE = "annotate again with the record of this very file"


class Consistency:
    """Finds tags that contradict the graph.

    Args:
        graph: The nodes of the file, and how they depend on each other.
        tree: The modules of the file.
        claims: The module of each node.
        initializers: The parameters that the initializers hold.
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
        node_claims = (claims.by_node.get(key) for key in graph.keys)
        self._modules = [
            None if claim is None else tree.canonical(claim.module) for claim in node_claims
        ]
        self._aliases: dict[str, list[str]] = {}
        for module in tree:
            if module.alias_of is not None:
                self._aliases.setdefault(module.alias_of, []).append(module.path)
        self._absent_parameters = initializers.absent()
        self._readers: dict[str, list[int]] = {}
        for number, node in enumerate(graph.nodes):
            for name in node.input:
                self._readers.setdefault(name, []).append(number)

    def faults(self) -> Iterator[Fault]:
        """Every contradiction."""
        for number, module in enumerate(self._modules):
            if module is not None:
                yield from self._foreign_weights(number, module)
                yield from self._out_of_reach(number, module)

    def _foreign_weights(self, number: int, module: str) -> Iterator[Fault]:
        """Faults of a node that uses weights of unrelated modules."""
        if self._graph.is_auxiliary(number):
            return
        for name in self._graph.nodes[number].input:
            owner = self._initializers.owner(name)
            if owner is None or self._related(module, owner) or self._may_be_tied(name, module):
                continue
            if self._is_common_number(name, owner):
                continue
            weight = self._initializers.parameters[name]
            message = (
                f"it uses {weight}, a weight of {_path_text(owner)}, but is tagged "
                f"{_path_text(module)}"
            )
            yield self._fault("weights", message, number, module)

    def _related(self, module: str, other: str) -> bool:
        """Whether one of two modules contains the other, by any of their paths."""
        return any(self._near(module, path) for path in self._paths(other))

    def _paths(self, module: str) -> list[str]:
        return [module, *self._aliases.get(module, [])]

    def _is_common_number(self, initializer: str, owner: str) -> bool:
        """Whether a weight is one number that is read where it belongs, too.

        Exporters merge equal constants. So the same 0.5 may be a buffer of one module and a factor
        in the code of another.
        """
        if math.prod(self._initializers.shapes[initializer]) != 1:
            return False
        readers = self._known_modules(self._readers.get(initializer, ()))
        return any(self._related(module, owner) for module in readers)

    def _may_be_tied(self, initializer: str, module: str) -> bool:
        """Whether a weight may also be a parameter of the module, under another name.

        Tied parameters share one initializer, so no initializer holds the others of them.
        """
        shape = sorted(self._initializers.shapes[initializer])
        return any(
            sorted(other) == shape and is_within(parameter.rpartition(".")[0], path)
            for parameter, other in self._absent_parameters.items()
            for path in self._paths(module)
        )

    def _out_of_reach(self, number: int, module: str) -> Iterator[Fault]:
        """The fault of a node whose module is unrelated to that around all its neighbours.

        A node with a weight of its module belongs there: it may stand between two calls of one
        activation.
        """
        owners = map(self._initializers.owner, self._graph.nodes[number].input)
        if any(owner is not None and self._related(module, owner) for owner in owners):
            return
        before = self._known_modules(self._graph.predecessors[number])
        after = self._known_modules(self._graph.successors[number])
        if not before or not after:
            return
        neighbours = before | after
        ancestor = self._tree.common_ancestor(sorted(neighbours))
        if self._near(module, ancestor) or self._near(module, self._widest(neighbours)):
            return
        message = (
            f"it is tagged {_path_text(module)}, but all its neighbours belong to "
            f"{_path_text(ancestor)}"
        )
        yield self._fault("reach", message, number, module)

    def _fault(self, check: str, message: str, number: int, module: str) -> Fault:
        return Fault(check, message, _ADVICE, describe_node(self._graph, number), module)

    def _near(self, module: str, path: str) -> bool:
        """Whether a module, by any of its paths, contains a path or is inside it."""
        return any(is_within(own, path) or is_within(path, own) for own in self._paths(module))

    def _widest(self, modules: set[str]) -> str:
        """The common ancestor of all paths of some modules.

        The nodes of a module that stands in several places carry its first path, although it may
        have been called under another one.
        """
        return self._tree.common_ancestor(sorted(p for m in modules for p in self._paths(m)))

    def _known_modules(self, numbers: Iterable[int]) -> set[str]:
        return {module for n in numbers if (module := self._modules[n]) is not None}


def _path_text(module: str) -> str:
    return module or "the root"
