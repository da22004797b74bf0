"""What becomes an input of a function, and which constants stand inside it.

- Each use of a weight is an input of its own, so tied weights do not change the signature.
- A value of the graph is one input, however often it is used.
- A constant with the same value in all calls stands inside the function; if its values differ,
  it is an input.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter.folding.constants import Constant
from modelexport.rewriter.folding.fold_graph import Call, FoldGraph
from modelexport.rewriter.folding.function_notes import ConstantNote
from modelexport.rewriter.folding.shared_structure import Slot, SlotKind, Structure
from modelexport.support.unique_names import UniqueNames

Column = tuple[str, ...]
"""The name that one slot has in each of the calls."""


@dataclass(frozen=True)
class StructuredCall:
    """A call that is folded, and its structure."""

    call: Call
    structure: Structure


@dataclass(frozen=True)
class InnerConstant:
    """A constant that stands inside the function.

    Attributes:
        name: Its name in the function.
        column: Its name in the graph of each call.
        note: What unfolding needs to restore it; None if every call has a constant of its own,
            which moves into the function.
    """

    name: str
    column: Column
    note: ConstantNote | None


@dataclass
class FunctionInputs:
    """The inputs and the constants of a function.

    Attributes:
        formals: Names of the function's inputs.
        actuals: For each call, the values that it passes.
        sources: What each slot reads inside the function, by number of the node and place.
        constants: The constants, by the first call's name in the graph.
        inner_constants: Names in the graph of everything that became a constant of the function.
    """

    formals: list[str] = field(default_factory=list)
    actuals: list[list[str]] = field(default_factory=list)
    sources: dict[tuple[int, int], str] = field(default_factory=dict)
    constants: dict[str, InnerConstant] = field(default_factory=dict)
    inner_constants: set[str] = field(default_factory=set)


class InputChooser:
    """Chooses the inputs of one function.

    Args:
        graph: The graph.
        calls: The calls that share the function. The first one gives the names.
        parameters: Initializer name to the parameter that it holds.
        names: Names of values in the function.
        used_by_others: Constants of the graph that other functions have inside already.
    """

    def __init__(
        self,
        graph: FoldGraph,
        calls: list[StructuredCall],
        parameters: Mapping[str, str],
        names: UniqueNames,
        used_by_others: Collection[str],
    ) -> None:
        self._graph = graph
        self._structures = [call.structure for call in calls]
        self._groups = [set(map(id, structure.nodes)) for structure in self._structures]
        self._path = calls[0].call.path
        self._parameters = parameters
        self._names = names
        self._used_by_others = used_by_others

    def choose(self) -> FunctionInputs:
        """Choose for every slot of the calls."""
        inputs = FunctionInputs(actuals=[[] for _ in self._structures])
        formal_of: dict[object, str] = {}
        for number, slot in enumerate(self._structures[0].slots):
            column = tuple(structure.slots[number].name for structure in self._structures)
            if slot.kind is SlotKind.CONSTANT and self._can_be_inside(column):
                source = self._add_constant(inputs, column)
            else:
                key: object = column if slot.kind is SlotKind.VALUE else number
                if key not in formal_of:
                    formal_of[key] = self._names.take(self._formal_name(slot))
                    inputs.formals.append(formal_of[key])
                    for actual, name in zip(inputs.actuals, column, strict=True):
                        actual.append(name)
                source = formal_of[key]
            inputs.sources[slot.node, slot.place] = source
        return inputs

    def _add_constant(self, inputs: FunctionInputs, column: Column) -> str:
        inputs.inner_constants.update(column)
        constant = inputs.constants.get(column[0])
        if constant is None:
            note = None if self._is_private(column) else self._note(column)
            constant = InnerConstant(self._names.take("constant"), column, note)
            inputs.constants[column[0]] = constant
        return constant.name

    def _can_be_inside(self, column: Column) -> bool:
        """Whether a constant can stand inside the function, and unfolding can restore it."""
        constants = self._constants(column)
        if any(constant.content != constants[0].content for constant in constants):
            return False
        is_shared = len(set(column)) == 1 or not any(constant.is_node for constant in constants)
        return is_shared or self._is_private(column)

    def _is_private(self, column: Column) -> bool:
        """Whether each call has a Constant node of its own, which moves into the function."""
        return all(
            self._is_only_used_by(group, name, constant)
            for name, constant, group in zip(
                column, self._constants(column), self._groups, strict=True
            )
        )

    def _is_only_used_by(self, group: set[int], name: str, constant: Constant) -> bool:
        if not constant.is_node or name in self._graph.outputs or name in self._used_by_others:
            return False
        return all(id(consumer) in group for consumer in self._graph.consumers.get(name, ()))

    def _note(self, column: Column) -> ConstantNote:
        return ConstantNote(column[0], self._constants(column)[0].is_node)

    def _constants(self, column: Column) -> list[Constant]:
        return [self._graph.constants[name] for name in column]

    def _formal_name(self, slot: Slot) -> str:
        """A name that readers know: the parameter's, or that of the module that uses the value."""
        node = self._structures[0].nodes[slot.node]
        parameter = self._parameters.get(slot.name)
        if parameter is not None and is_within(parameter, self._path):
            return parameter[len(self._path) + 1 :]
        if parameter is not None:
            last = parameter.rpartition(".")[2]
        else:
            last = "input" if slot.kind is SlotKind.VALUE else slot.kind.value
        return ".".join(filter(None, [node.path_within(self._path), last]))
