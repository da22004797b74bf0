"""Counting nodes, parameters and costs: of the whole file, and of each module by its tag."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import onnx

from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.rewriter.analysis.costs import MacCounter, Shapes, WorkCounter, stored_weights
from modelexport.rewriter.analysis.module_rows import subtree_parameters
from modelexport.rewriter.analysis.totals import Totals, add_counts
from modelexport.rewriter.graph.initializer_parameters import initializer_shapes
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import CarriedHierarchy


class FileCounter:
    """Counts a file.

    Args:
        model: The model; its weights may be left out.
        graph: Its nodes, and how they depend on each other.
        carried: The hierarchy that it carries. Without one, nothing belongs to a module.
        shapes: Shapes of its values.
        op_types: Operators whose nodes are counted; all when there are none.

    Attributes:
        tagger: Writes the tags of the hierarchy; None without one.
        file_totals: The figures of the whole file, with what belongs to no module.
        own_totals: The figures of each module itself by tag, without those of modules below it.
        parameters: Elements of the parameters of each module by tag, with those below it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        graph: ModelGraph,
        carried: CarriedHierarchy | None,
        shapes: Shapes,
        op_types: Collection[str] = (),
    ) -> None:
        self._model, self._graph, self._shapes = model, graph, shapes
        self._macs = MacCounter(shapes)
        self._op_types = frozenset(op_types)
        self._tree = ModuleTree(()) if carried is None else carried.tree
        claims = {} if carried is None else carried.claims.by_node
        self._claims = [claims.get(key) for key in graph.keys]
        self.tagger = None if carried is None else carried.tagger
        self.file_totals = Totals()
        self.own_totals: dict[str, Totals] = {}
        self._totals_by_path: dict[str, Totals] = {}
        self.parameters: dict[str, int] = {}
        modules = [None if claim is None else claim.module for claim in self._claims]
        self._named = parameters = {} if carried is None else carried.parameters
        weights = stored_weights(model, graph, self._tree, modules, parameters)
        self._count_parameters({weight.name: weight.module for weight in weights})
        self._count_nodes()
        for weight in weights:
            self.file_totals.weight_bytes += weight.bytes or 0
            self._totals_of(weight.module).weight_bytes += weight.bytes or 0

    def _totals_of(self, path: str | None) -> Totals:
        """The totals of the module at a path; of nothing where it is unknown."""
        if self.tagger is None or path is None:
            return Totals()
        totals = self._totals_by_path.get(path)
        if totals is None:
            totals = self.own_totals.setdefault(self.tagger.tag(path), Totals())
            self._totals_by_path[path] = totals
        return totals

    def _owner(self, name: str, readers: Mapping[str, str | None]) -> str:
        """The module in the name of an initializer, else that which reads it, else the root."""
        path = name.rpartition(".")[0]
        return path if path and path in self._tree else readers.get(name) or ROOT

    def _count_parameters(self, readers: Mapping[str, str | None]) -> None:
        sizes = {
            name: math.prod(shape) for name, shape in initializer_shapes(self._graph.graphs).items()
        }
        if self.tagger is None:
            self.file_totals.parameters = sum(sizes.values())
            return
        own = _listed_parameters(self._tree)
        traced = any(module.calls is not None for module in self._tree)
        if not traced and not any(own.values()):
            for name, size in sizes.items():  # no list of parameters: initializers stand for them
                own.setdefault(self._owner(name, readers), {})[name] = size
        for module in self._tree:  # so the totals have the order of the tree
            if module.alias_of is None:
                self._totals_of(module.path)
        for path, of_module in own.items():
            if self._tree.canonical(path) == path:
                self._totals_of(path).parameters += sum(of_module.values())
        self.parameters = subtree_parameters(own, self.tagger)
        self.file_totals.parameters = self.parameters.get(self.tagger.tag(ROOT), 0)

    @cached_property
    def _work(self) -> WorkCounter:
        """Says which module a node is charged to that does the work of several."""
        return WorkCounter(self._model, self._tree, self._named, self._macs, self._graph.graphs)

    def _count_macs(self, number: int, totals: Totals) -> None:
        """Count the multiply-accumulates of a node for the module that it is charged to."""
        key, proto = self._graph.keys[number], self._graph.nodes[number]
        claim = self._claims[number]
        macs = self._macs.count(key, proto)
        if claim is not None and claim.covers and macs != 0:
            totals = self._totals_of(self._work.charged_module(claim, key, proto))
        totals.add_macs(macs)

    def _count_nodes(self) -> None:
        """Count each node for its module; then the file's figures are the sum."""
        outside, derived = Totals(), self._graph.derived
        counted: list[str] = []
        graph, indexed, totals_by_path = self._graph, self._graph.indexed, self._totals_by_path
        value_bytes = self._shapes.bytes_of_values(indexed.value_numbers)
        is_free: dict[str, bool] = {}
        for number, (claim, op_type) in enumerate(zip(self._claims, graph.op_types, strict=True)):
            if self._op_types and op_type not in self._op_types:
                continue
            totals = outside
            if claim is not None:
                path = claim.module
                totals = totals_by_path[path] if path in totals_by_path else self._totals_of(path)
                kind = str(claim.kind)
                totals.evidence[kind] = totals.evidence.get(kind, 0) + 1
            if op_type not in is_free:
                is_free[op_type] = self._macs.is_free(graph.nodes[number])
            if not is_free[op_type]:
                self._count_macs(number, totals)
            values = () if derived[number] else indexed.output_values(number)
            totals.add_node(op_type, [value_bytes[value] for value in values])
            counted.append(op_type)
        self._add_to_file(counted, [outside, *self.own_totals.values()])

    def _add_to_file(self, op_types: Iterable[str], parts: Iterable[Totals]) -> None:
        """Add figures of nodes to the file's: operators in the order in which they come."""
        add_counts(self.file_totals.op_types, Counter(op_types))
        for part in parts:
            self.file_totals.macs += part.macs
            self.file_totals.unknown_macs += part.unknown_macs
            self.file_totals.activation_bytes += part.activation_bytes
            self.file_totals.unknown_activations += part.unknown_activations


def _listed_parameters(tree: ModuleTree) -> dict[str, dict[str, int]]:
    """Elements of the own parameters of each module path, by the first name of each tensor."""
    return {
        module.path: {
            parameter.tied_to or _qualified(tree.canonical(module.path), parameter.name): (
                parameter.size
            )
            for parameter in module.parameters
        }
        for module in tree
        if module.parameters
    }


def _qualified(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
