"""Making functions of calls, and putting call nodes in the place of the calls' nodes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.choices import FoldMode
from modelexport.hierarchy.tags import Tagger, escape, namespace, path_steps
from modelexport.rewriter.folding.break_cycles import Groups, without_cycles
from modelexport.rewriter.folding.choose_calls import ClassName
from modelexport.rewriter.folding.flat_snapshot import OriginalNode
from modelexport.rewriter.folding.fold_graph import Call, FoldGraph, FoldNode
from modelexport.rewriter.folding.fold_report import Prototype
from modelexport.rewriter.folding.function_body import FoldContext, FunctionBody, function_body
from modelexport.rewriter.folding.function_inputs import StructuredCall
from modelexport.rewriter.folding.function_names import (
    FunctionNames,
    import_operator_sets,
    qualified_name,
)
from modelexport.rewriter.folding.function_notes import FunctionNote, write_function_note
from modelexport.rewriter.folding.relative_tags import TagRebaser
from modelexport.rewriter.folding.shared_structure import Structure, difference, find_structure
from modelexport.support.unique_names import UniqueNames

_FIRST_IR_WITH_FUNCTION_TYPES = 10
"""The first IR version in which a function can have value infos."""


class FunctionMaker:
    """Makes functions of calls.

    Args:
        model: The model, which gets the functions.
        graph: Its main graph, in which calls replace nodes.
        tagger: Knows the modules and their tags.
        parameters: Initializer name to the parameter that it holds.
        rules: What to fold.
        class_of: The class of each module path.

    Attributes:
        prototypes: The functions.
        left_out: Classes with more structures than allowed, and how many calls stay unfolded.
        inner_constants: Constants of the graph that stand inside functions.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        graph: FoldGraph,
        tagger: Tagger,
        parameters: Mapping[str, str],
        rules: FoldRules,
        class_of: Mapping[str, ClassName],
    ) -> None:
        self._model = model
        self._graph = graph
        self._tagger = tagger
        self._max_functions = rules.max_prototypes
        folds_single_calls = bool(rules.patterns) or rules.functions == (FoldMode.ALL,)
        self._min_calls = 1 if folds_single_calls else 2
        self._class_of = class_of
        types = {value.name: value for value in model.graph.value_info}
        rebaser = TagRebaser(tagger.tree, tagger.paths)
        self._context = FoldContext(graph, parameters, types, rebaser)
        self._function_names = FunctionNames(model)
        self._node_names = UniqueNames(node.name for node in model.graph.node)
        self._variants: Counter[ClassName] = Counter()
        self._first_of_class: dict[ClassName, Structure] = {}
        self.prototypes: list[Prototype] = []
        self.left_out: dict[str, int] = {}
        self.inner_constants: set[str] = set()

    def fold_calls(self, calls: Collection[Call]) -> dict[Call, str]:
        """Fold calls none of which is inside another.

        Returns:
            The calls that cannot be folded, each with the reason.
        """
        groups: Groups = {}
        for node in self._graph.nodes:
            for call in node.chain:
                if call in calls:
                    groups.setdefault(call, []).append(node)
        groups, refused = without_cycles(self._graph, groups)
        for class_name, sharing in self._by_class(groups).items():
            for shared_calls in self._limited(class_name, sharing):
                self._make_function(class_name, shared_calls)
        self._graph.remove_replaced()
        return refused

    def _by_class(self, groups: Groups) -> dict[ClassName, list[list[StructuredCall]]]:
        """For each class, the calls that share each of its structures."""
        sharing: dict[tuple[ClassName, object], list[StructuredCall]] = defaultdict(list)
        for call, nodes in groups.items():
            structure = find_structure(self._graph, nodes)
            if structure.outputs:
                key = self._class_of[call.path], structure.key
                sharing[key].append(StructuredCall(call, structure))
        by_class: dict[ClassName, list[list[StructuredCall]]] = defaultdict(list)
        for (class_name, _), calls in sharing.items():
            by_class[class_name].append(calls)
        return by_class

    def _limited(
        self, class_name: ClassName, sharing: list[list[StructuredCall]]
    ) -> list[list[StructuredCall]]:
        """The calls of which functions are made: enough calls, and not too many functions."""
        shared = [calls for calls in sharing if len(calls) >= self._min_calls]
        if self._max_functions is None:
            return shared
        room = max(0, self._max_functions - self._variants[class_name])
        most_called = sorted(shared, key=len, reverse=True)
        if most_called[room:]:
            self.left_out[class_name[1]] = sum(map(len, most_called[room:]))
        chosen = set(map(id, most_called[:room]))
        return [calls for calls in shared if id(calls) in chosen]

    def _make_function(self, class_name: ClassName, calls: list[StructuredCall]) -> None:
        """Make one function, and let its calls replace their nodes."""
        first = calls[0]
        body = function_body(
            self._context, calls, self._tagger.tag(first.call.path), self.inner_constants
        )
        self._variants[class_name] += 1
        differs = self._difference_from_first(class_name, first)
        function = self._finished(class_name, body, len(calls), differs)
        self._model.functions.append(function)
        self.inner_constants |= body.inner_constants
        for call, actuals, originals in zip(calls, body.actuals, body.originals, strict=True):
            self._replace(call, function, actuals, originals)
        self.prototypes.append(
            Prototype(
                function.domain,
                function.name,
                class_name[1],
                len(calls),
                len(function.node),
                first.call.path,
                differs,
            )
        )

    def _difference_from_first(self, class_name: ClassName, folded: StructuredCall) -> str | None:
        """What distinguishes a structure from the first of its class; None for the first."""
        first = self._first_of_class.setdefault(class_name, folded.structure)
        if first is folded.structure:
            return None
        modules = [node.path_within(folded.call.path) for node in folded.structure.nodes]
        return difference(folded.structure, first, modules)

    def _finished(
        self, class_name: ClassName, body: FunctionBody, calls: int, differs: str | None
    ) -> onnx.FunctionProto:
        """The function with its name, its note and its operator sets."""
        function = body.function
        variant = self._variants[class_name]
        function.domain, function.name = self._function_names.take(
            class_name, variant, len(function.input)
        )
        note = FunctionNote(qualified_name(class_name), calls, variant, differs)
        write_function_note(function, note)
        import_operator_sets(self._model, function)
        if self._model.ir_version < _FIRST_IR_WITH_FUNCTION_TYPES:
            function.ClearField("value_info")
        return function

    def _replace(
        self,
        structured: StructuredCall,
        function: onnx.FunctionProto,
        actuals: list[str],
        originals: list[OriginalNode],
    ) -> None:
        """Put a call node in the place of the nodes of a call."""
        call, structure = structured.call, structured.structure
        proto = self._call_node(call, function, actuals, structure.outputs)
        chain = structure.nodes[0].chain
        node = FoldNode(
            proto,
            max(node.position for node in structure.nodes),
            actuals,
            call.path,
            call.number,
            chain[: chain.index(call)],
            originals,
            is_call=True,
        )
        self._graph.replace(structure.nodes, node)

    def _call_node(
        self, call: Call, function: onnx.FunctionProto, inputs: list[str], outputs: list[str]
    ) -> onnx.NodeProto:
        node = onnx.NodeProto(
            op_type=function.name,
            domain=function.domain,
            name=self._node_names.take("/" + "/".join(map(escape, path_steps(call.path)))),
            input=inputs,
            output=outputs,
        )
        tag = self._tagger.tag(call.path)
        node.metadata_props.add(key=keys.TAG, value=tag)
        node.metadata_props.add(key=keys.NAMESPACE, value=namespace(tag))
        tree = self._tagger.tree
        if call.path in tree and tree[call.path].calls != 1:
            node.metadata_props.add(key=keys.CALL, value=str(call.number))
        return node
