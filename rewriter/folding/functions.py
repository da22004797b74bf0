"""Writing one function, and what each of its calls is given."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.tags import escape, steps
from modelexport.rewriter.folding.choosing import within
from modelexport.rewriter.folding.fold_graph import Bench, Call, Constant, Item
from modelexport.rewriter.folding.prototypes import CONSTANT, VALUE, Slot, Structure
from modelexport.rewriter.folding.relative import Rebasing
from modelexport.rewriter.folding.renaming import renamed
from modelexport.support.unique_names import UniqueNames

if TYPE_CHECKING:
    from modelexport.rewriter.folding.flat_snapshot import Was

Column = tuple[str, ...]
"""What one slot is in each of the calls."""


class FunctionNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a function says of itself (function metadata `hierarchy.function`).

    Attributes:
        class_name: Qualified name of the modules' class.
        calls: How many calls it was made of.
        variant: Which of the structures of this class, from 1.
        differs: What tells it from the first one.
    """

    class_name: str
    calls: int
    variant: int = 1
    differs: str | None = None


class ConstantNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the graph calls a constant that a function holds (`hierarchy.constant`).

    Attributes:
        name: The value's name in the graph.
        node: Whether a node made it there, not an initializer.
    """

    name: str
    node: bool = False


class Folded(msgspec.Struct, frozen=True):
    """One call that was folded: its place in the module tree, and its structure."""

    call: Call
    structure: Structure


class FunctionMaker:
    """Makes one function of calls that have one structure.

    Args:
        bench: The graph.
        folded: The calls; the first lends its names.
        tags: Tag by module path, of the calls.
        parameters: Initializer name to the parameter that it holds.
        types: Value infos of the graph by name.
        rebasing: Writes tags relative to the module.
        shared: Constants that other functions have inside already.

    Attributes:
        function: The function, without a name.
        actuals: For each call, what it is given.
        histories: For each call, what its nodes were, in the order of the function.
        baked: Constants of the graph that the function has inside.
    """

    def __init__(
        self,
        bench: Bench,
        folded: list[Folded],
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        types: Mapping[str, onnx.ValueInfoProto],
        rebasing: Rebasing,
        shared: Collection[str] = (),
    ) -> None:
        self._bench = bench
        self._rebasing = rebasing
        self._shared = shared
        self._call = folded[0].call.number
        self._all = [each.structure for each in folded]
        self._groups = [set(map(id, each.structure.items)) for each in folded]
        self._first = folded[0].structure
        self._path = folded[0].call.path
        self._tag = tags[self._path]
        self._parameters = parameters
        self._value_names = UniqueNames()
        self._names: dict[str, str] = {}
        self.baked: set[str] = set()
        self.function = onnx.FunctionProto()
        self.actuals: list[list[str]] = [[] for _ in folded]
        self.histories: list[list[Was]] = [[] for _ in folded]
        self._sources = self._inputs()
        self._values()
        self._nodes()
        self.function.output.extend(self._names[name] for name in self._first.outputs)
        self._value_infos(types)

    def _inputs(self) -> dict[tuple[int, int], str]:
        """What each slot reads inside the function."""
        formals: dict[object, str] = {}
        found = {}
        for number, slot in enumerate(self._first.slots):
            column = tuple(each.slots[number].name for each in self._all)
            where = (slot.item, slot.place)
            if slot.kind == CONSTANT and (note := self._bakeable(column)) is not None:
                found[where] = self._constant(column, note)
                continue
            key: object = column if slot.kind == VALUE else number
            if key not in formals:
                formals[key] = self._value_names.take(self._formal(slot))
                self.function.input.append(formals[key])
                for actual, name in zip(self.actuals, column, strict=True):
                    actual.append(name)
            found[where] = formals[key]
        return found

    def _bakeable(self, column: Column) -> tuple[ConstantNote | None] | None:
        """Whether a constant can stand inside, and the note by which unfolding restores it."""
        constants = [self._bench.constants[name] for name in column]
        if any(constant.content != constants[0].content for constant in constants):
            return None
        private = [
            self._private(name, constant, group)
            for name, constant, group in zip(column, constants, self._groups, strict=True)
        ]
        if all(private):
            return (None,)
        if len(set(column)) == 1 or not any(constant.is_node for constant in constants):
            return (ConstantNote(column[0], constants[0].is_node),)
        return None

    def _private(self, name: str, constant: Constant, group: set[int]) -> bool:
        """Whether a Constant node is one call's alone, so that it moves into the function."""
        users = self._bench.consumers.get(name, ())
        inside = all(id(user) in group for user in users) and name not in self._shared
        return constant.is_node and inside and name not in self._bench.outputs

    def _constant(self, column: Column, note: tuple[ConstantNote | None]) -> str:
        self.baked.update(column)
        known = self._names.get(column[0])
        if known is not None:
            return known
        name = self._names[column[0]] = self._value_names.take("constant")
        constants = [self._bench.constants[each] for each in column]
        node = self.function.node.add()
        node.CopyFrom(constants[0].node)
        node.name = node.output[0] = name
        self._common(node, [constant.node for constant in constants])
        for history, constant in zip(self.histories, constants, strict=True):
            history.append(constant.history)
        if note[0] is not None:
            text = msgspec.json.encode(note[0]).decode()
            node.metadata_props.add(key=keys.CONSTANT, value=text)
        return name

    def _formal(self, slot: Slot) -> str:
        """A name that a reader knows: the parameter's, or where the value is used first."""
        item = self._first.items[slot.item]
        parameter = self._parameters.get(slot.name)
        if parameter is not None:
            if is_within(parameter, self._path):
                return parameter[len(self._path) + 1 :]
            return ".".join(filter(None, [self._where(item), parameter.rpartition(".")[2]]))
        kind = "input" if slot.kind == VALUE else slot.kind
        return ".".join(filter(None, [self._where(item), kind]))

    def _where(self, item: Item) -> str:
        """The path of a node's module within the function's."""
        return within(item, self._path)

    def _values(self) -> None:
        """Names for what the nodes make: an output's module, else the node that makes it."""
        outputs = set(self._first.outputs)
        for item in self._first.items:
            where = self._where(item)
            for place, name in enumerate(item.node.output):
                if not name:
                    continue
                last = "output" if name in outputs else item.node.op_type
                if place and name not in outputs:
                    last += f".{place}"
                self._names[name] = self._value_names.take(".".join(filter(None, [where, last])))

    def _nodes(self) -> None:
        node_names = UniqueNames(node.name for node in self.function.node)
        for number, item in enumerate(self._first.items):
            own = dict(self._names)
            own.update(
                (item.inputs[place], self._sources[number, place])
                for place in range(len(item.node.input), len(item.inputs))
                if (number, place) in self._sources
            )
            node = renamed(item.node, own)
            for place, name in enumerate(item.node.input):
                if (number, place) in self._sources:
                    node.input[place] = self._sources[number, place]
                elif name:
                    node.input[place] = self._names[name]
            steps_of = list(map(escape, steps(self._where(item))))
            last = [] if item.is_call and steps_of else [node.op_type]
            node.name = node_names.take("/".join([*steps_of, *last]))
            self._common(node, [each.items[number].node for each in self._all])
            self.function.node.append(node)
            for history, each in zip(self.histories, self._all, strict=True):
                history.extend(each.items[number].history)

    def _common(self, node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
        """Keep of metadata and doc strings what all calls have in common; tags get relative."""
        others = [{e.key: e.value for e in each.metadata_props} for each in nodes[1:]]
        kept = [
            (entry.key, entry.value)
            for entry in node.metadata_props
            if entry.key.startswith(keys.OURS)
            or entry.key in keys.SHARED
            or all(each.get(entry.key) == entry.value for each in others)
        ]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
        if any(each.doc_string != node.doc_string for each in nodes):
            node.ClearField("doc_string")
        self._rebasing.into(node, self._tag, self._call)

    def _value_infos(self, types: Mapping[str, onnx.ValueInfoProto]) -> None:
        """Types and shapes of the values inside, where all calls agree."""
        for number, item in enumerate(self._first.items):
            for place, name in enumerate(item.node.output):
                column = [each.items[number].node.output[place] for each in self._all]
                found = [types.get(each) for each in column] if name else [None]
                first = found[0]
                if first is None or any(t is None or t.type != first.type for t in found):
                    continue
                info = self.function.value_info.add()
                info.CopyFrom(first)
                info.name = self._names[name]
