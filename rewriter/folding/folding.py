"""Folding a model: choose calls, make functions of them, and put their calls in their place."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.hierarchy.tags import Tagger, escape, namespace, steps
from modelexport.rewriter.folding.calls import Calls
from modelexport.rewriter.folding.choosing import Choosing, ClassName, within
from modelexport.rewriter.folding.cycles import Groups, acyclic
from modelexport.rewriter.folding.flat_snapshot import Memory, Was, remember
from modelexport.rewriter.folding.fold_graph import Bench, Call, Constant, Item
from modelexport.rewriter.folding.functions import Folded, FunctionMaker, FunctionNote
from modelexport.rewriter.folding.hoisting import hoist
from modelexport.rewriter.folding.prototypes import Structure, difference, structure
from modelexport.rewriter.folding.relative import Rebasing
from modelexport.rewriter.matching.evidence.carried import tag_paths
from modelexport.support.unique_names import UniqueNames

if TYPE_CHECKING:
    from modelexport.rewriter.matching.matcher import Decision

_FIRST_WITH_FUNCTIONS = 8
_FIRST_WITH_FUNCTION_TYPES = 10
_UNKNOWN_DOMAIN = "modules"


class Prototype(msgspec.Struct):
    """One function that was made.

    Attributes:
        domain, name: Of the function.
        class_name: Of the modules.
        calls: How many nodes call it, or rather called it before these were folded too.
        nodes: How many nodes it has, calls of other functions included.
        example: Path of the first module.
        differs: What tells it from the first prototype of its class.
    """

    domain: str
    name: str
    class_name: str
    calls: int
    nodes: int
    example: str
    differs: str | None = None


class FoldReport(msgspec.Struct):
    """What folding did.

    Attributes:
        prototypes: The functions.
        nodes_before, nodes_after: Nodes of the main graph.
        hoisted: Nodes that were moved out of a module, because its siblings use them too.
        single: Calls that share their class with functions but not their structure, and why.
        refused: Calls that could not be folded, and why.
        left_out: Calls of classes with more structures than asked for, and how many calls.
    """

    prototypes: list[Prototype]
    nodes_before: int
    nodes_after: int
    hoisted: int = 0
    single: dict[str, str] = {}
    refused: dict[str, str] = {}
    left_out: dict[str, int] = {}

    def lines(self) -> list[str]:
        """The report in sentences."""
        calls = sum(each.calls for each in self.prototypes)
        here, there = self.nodes_after, self.nodes_before
        found = [
            f"{calls} calls of {len(self.prototypes)} functions: {here} nodes, not {there}",
        ]
        by_class: dict[str, list[Prototype]] = defaultdict(list)
        for each in self.prototypes:
            by_class[each.class_name].append(each)
        for name, several in by_class.items():
            differing = [f"{p.name}: {p.differs}" for p in several if p.differs]
            if differing:
                found.append(f"{len(several)} prototypes of {name}: {'; '.join(differing)}")
        found += [f"{path} is not shared: {why}" for path, why in self.single.items()]
        found += [f"{path} is not folded: {why}" for path, why in self.refused.items()]
        found += [
            f"{count} calls of {name} are not folded: too many structures"
            for name, count in self.left_out.items()
        ]
        return found


def fold(
    model: onnx.ModelProto,
    decisions: Iterable["Decision"],
    tagger: Tagger,
    parameters: Mapping[str, str],
    rules: FoldRules,
) -> FoldReport:
    """Make functions of a model's module calls, in place.

    Args:
        model: The model, already annotated; weights may be left out.
        decisions: One for each node, in the order of `walk_nodes`.
        tagger: Knows modules and tags.
        parameters: Initializer name to the parameter that it holds.
        rules: What to fold.
    """
    return _Folding(model, decisions, tagger, parameters, rules).report


class _Folding:
    """One run of `fold`."""

    def __init__(
        self,
        model: onnx.ModelProto,
        decisions: Iterable["Decision"],
        tagger: Tagger,
        parameters: Mapping[str, str],
        rules: FoldRules,
    ) -> None:
        self._model = model
        self._tagger = tagger
        self._tree: ModuleTree = tagger.tree
        self._parameters = parameters
        self._rules = rules
        paths = tag_paths(tagger.tree, tagger.rules)
        self._rebasing = Rebasing(tagger.tree, paths)
        self._types = {value.name: value for value in model.graph.value_info}
        self._taken = {(f.domain, f.name) for f in model.functions}
        self._variants: Counter[ClassName] = Counter()
        self._first: dict[ClassName, tuple[Structure, list[str]]] = {}
        self._baked: set[str] = set()
        self._names = UniqueNames(node.name for node in model.graph.node)
        self.report = FoldReport([], len(model.graph.node), len(model.graph.node))
        self._bench = Bench(model, parameters)
        self._place(decisions)
        self._run()

    def _place(self, decisions: Iterable["Decision"]) -> None:
        known = {d.position: d for d in decisions if not d.graph}
        for item in self._bench.items:
            decision = known[item.position]
            item.module, item.call = decision.module, decision.call
        Calls(self._bench, self._tree).assign()
        paths = {call.path for item in self._bench.items for call in item.chain}
        self._classes = {path: _class(self._tree, path) for path in paths}
        self.report.hoisted = hoist(self._bench, self._classes)

    def _run(self) -> None:
        choice = Choosing(self._bench, self._rules, self._classes).choose()
        wanted = choice.calls
        self.report.single.update((_label(call), why) for call, why in choice.single.items())
        self.report.refused.update((_label(call), why) for call, why in choice.refused.items())
        height: dict[Call, int] = dict.fromkeys(wanted, 0)
        for item in self._bench.items:
            above = [call for call in item.chain if call in wanted]
            for number, call in enumerate(reversed(above)):
                height[call] = max(height[call], number)
        for level in range(max(height.values(), default=-1) + 1):
            self._level({call for call in wanted if height[call] == level})
        if self.report.prototypes:
            self._write()

    def _level(self, wanted: set[Call]) -> None:
        groups: Groups = {}
        for item in self._bench.items:
            for call in item.chain:
                if call in wanted:
                    groups.setdefault(call, []).append(item)
        groups, refused = acyclic(self._bench, groups)
        self.report.refused.update((_label(call), why) for call, why in refused.items())
        buckets: dict[tuple[ClassName, object], list[Folded]] = defaultdict(list)
        for call, items in groups.items():
            found = structure(self._bench, items)
            if found.outputs:
                buckets[self._classes[call.path], found.key].append(Folded(call, found))
        by_class: dict[ClassName, list[list[Folded]]] = defaultdict(list)
        for (kind, _), folded in buckets.items():
            by_class[kind].append(folded)
        for kind, several in by_class.items():
            self._fold_class(kind, several)
        self._bench.sweep()

    def _fold_class(self, kind: ClassName, several: list[list[Folded]]) -> None:
        least = 1 if self._rules.patterns or self._rules.functions == ("all",) else 2
        shared = [folded for folded in several if len(folded) >= least]
        if self._rules.max_prototypes is not None:
            ranked = sorted(shared, key=len, reverse=True)
            room = max(0, self._rules.max_prototypes - self._variants[kind])
            left = ranked[room:]
            if left:
                self.report.left_out[kind[1]] = sum(map(len, left))
            shared = [folded for folded in shared if folded not in left]
        for folded in shared:
            self._make(kind, folded)

    def _make(self, kind: ClassName, folded: list[Folded]) -> None:
        tags = {each.call.path: self._tagger.tag(each.call.path) for each in folded}
        made = FunctionMaker(
            self._bench,
            folded,
            tags,
            self._parameters,
            self._types,
            self._rebasing,
            shared=self._baked,
        )
        function = made.function
        differs = self._differs(kind, folded[0])
        self._variants[kind] += 1
        self._identify(function, kind)
        note = FunctionNote(
            ".".join(kind).removeprefix(f"{_UNKNOWN_DOMAIN}."),
            len(folded),
            self._variants[kind],
            differs,
        )
        text = msgspec.json.encode(note).decode()
        function.metadata_props.add(key=keys.FUNCTION, value=text)
        self._opsets(function)
        if self._model.ir_version < _FIRST_WITH_FUNCTION_TYPES:
            function.ClearField("value_info")
        self._model.functions.append(function)
        self._baked |= made.baked
        for each, actuals, history in zip(folded, made.actuals, made.histories, strict=True):
            self._replace(each, function, actuals, history)
        self.report.prototypes.append(
            Prototype(
                function.domain,
                function.name,
                kind[1],
                len(folded),
                len(function.node),
                folded[0].call.path,
                differs,
            )
        )

    def _differs(self, kind: ClassName, folded: Folded) -> str | None:
        """What tells a structure from the first of its class."""
        found = folded.structure
        where = [within(item, folded.call.path) for item in found.items]
        if kind not in self._first:
            self._first[kind] = found, where
            return None
        return difference(found, self._first[kind][0], where)

    def _identify(self, function: onnx.FunctionProto, kind: ClassName) -> None:
        domain, name = kind[0] or _UNKNOWN_DOMAIN, re.sub(r"\W", "_", kind[1])
        number = self._variants[kind]
        wanted = name if number == 1 else f"{name}_{number}"
        while (domain, wanted) in self._taken:
            number += 1
            wanted = f"{name}_{number}"
        self._taken.add((domain, wanted))
        function.domain, function.name = domain, wanted

    def _opsets(self, function: onnx.FunctionProto) -> None:
        versions = {entry.domain: entry.version for entry in self._model.opset_import}
        if function.domain not in versions:
            self._model.opset_import.add(domain=function.domain, version=1)
        used = {"", *_domains(function.node)}
        for domain in sorted(used):
            version = versions.get(domain)
            if version is None and domain in DEFAULT_DOMAINS:
                version = versions.get("ai.onnx" if not domain else "")
            if version is not None or domain:
                function.opset_import.add(domain=domain, version=version or 1)

    def _replace(
        self,
        folded: Folded,
        function: onnx.FunctionProto,
        actuals: list[str],
        history: list[Was],
    ) -> None:
        call, found = folded.call, folded.structure
        tag = self._tagger.tag(call.path)
        name = "/" + "/".join(map(escape, steps(call.path)))
        node = onnx.NodeProto(
            op_type=function.name,
            domain=function.domain,
            name=self._names.take(name),
            input=actuals,
            output=found.outputs,
        )
        node.metadata_props.add(key=keys.TAG, value=tag)
        node.metadata_props.add(key=keys.NAMESPACE, value=namespace(tag))
        if call.path in self._tree and self._tree[call.path].calls != 1:
            node.metadata_props.add(key=keys.CALL, value=str(call.number))
        chain = found.items[0].chain
        last = max(item.position for item in found.items)
        item = Item(
            node,
            last,
            actuals,
            chain[: chain.index(call)],
            call.path,
            call.number,
            history,
            is_call=True,
        )
        self._bench.replace(found.items, item)

    def _write(self) -> None:
        """Put the graph together: calls, what was not folded, and the constants still needed."""
        graph = self._model.graph
        aside = self._bench.aside
        written: dict[str, None] = {}
        made: list[onnx.NodeProto] = []
        for item in self._bench.items:
            for name in item.inputs:
                if name in aside and name not in written:
                    written[name] = None
                    made.append(aside[name][0])
            made.append(item.node)
        gone = self._baked - self._bench.outputs
        made += [n for name, (n, _) in aside.items() if name not in written and name not in gone]
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made]
        del graph.node[:]
        graph.node.extend(kept)
        self._forget()
        self._remember()
        self._model.ir_version = max(self._model.ir_version, _FIRST_WITH_FUNCTIONS)
        self.report.nodes_after = len(graph.node)

    def _remember(self) -> None:
        calls = {i.node.name: i.history for i in self._bench.items if i.is_call}
        items = [i for i in self._bench.items if i.node.name not in calls]
        rest = {_first_output(i.node): i.position for i in items}
        rest |= {name: position for name, (_, position) in self._bench.aside.items()}
        remember(self._model, Memory(calls, rest))

    def _forget(self) -> None:
        """Drop constants that are inside functions now, and types of values that are gone."""
        graph = self._model.graph
        used = {name for item in self._bench.items for name in item.inputs} | self._bench.outputs
        gone = {name for name in self._baked - used if _is_weight(self._bench.constants[name])}
        weights = [w for w in graph.initializer if w.name not in gone]
        if len(weights) < len(graph.initializer):
            kept = [onnx.TensorProto.FromString(w.SerializeToString()) for w in weights]
            del graph.initializer[:]
            graph.initializer.extend(kept)
        values = {name for node in graph.node for name in node.output}
        values |= self._bench.inputs | {w.name for w in graph.initializer}
        values |= {w.values.name for w in graph.sparse_initializer}
        infos = [v for v in graph.value_info if v.name in values]
        kept_infos = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in infos]
        del graph.value_info[:]
        graph.value_info.extend(kept_infos)


def _first_output(node: onnx.NodeProto) -> str:
    return next(iter(filter(None, node.output)), "")


def _is_weight(constant: Constant) -> bool:
    return not constant.is_node


def _domains(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    from modelexport.hierarchy.graph_paths import subgraphs  # noqa: PLC0415

    found: set[str] = set()
    for node in nodes:
        found.add(node.domain)
        for _, subgraph in subgraphs(node) if node.attribute else ():
            found |= _domains(subgraph.node)
    return found


def _class(tree: ModuleTree, path: str) -> ClassName:
    """Python module and name of a class; where the tree does not say, what the path is called."""
    if path in tree and (module := tree[path]).class_name:
        return module.python_module or _UNKNOWN_DOMAIN, module.class_name
    words = [word for word in path.split(".") if not word.isdigit()]
    return _UNKNOWN_DOMAIN, words[-1] if words else "Module"


def _label(call: Call) -> str:
    return f"{call.path} (call {call.number})" if call.number else call.path
