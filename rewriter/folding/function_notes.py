"""What folding writes into the metadata of its functions and of the constants inside them."""

import msgspec
import onnx

from modelexport.hierarchy import keys


class FunctionNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The note on a function that folding made (`hierarchy.function`).

    Attributes:
        class_name: Qualified name of the modules' class.
        calls: How many calls it was made of.
        variant: Number of this structure among those of the class, from 1.
        differs: What distinguishes it from the first structure of the class.
    """

    class_name: str
    calls: int
    variant: int = 1
    differs: str | None = None


class ConstantNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The note on a constant inside a function (`hierarchy.constant`).

    Attributes:
        name: The name of the value in the graph.
        is_node: Whether it was a node there; if not, it was an initializer.
    """

    name: str
    is_node: bool = msgspec.field(name="node", default=False)


def folded_functions(model: onnx.ModelProto) -> list[onnx.FunctionProto]:
    """The functions that folding made."""
    return [function for function in model.functions if is_folded(function)]


def is_folded(function: onnx.FunctionProto) -> bool:
    """Whether folding made a function."""
    return any(entry.key == keys.FUNCTION for entry in function.metadata_props)


def write_function_note(function: onnx.FunctionProto, note: FunctionNote) -> None:
    """Add the note to a function."""
    function.metadata_props.add(key=keys.FUNCTION, value=msgspec.json.encode(note).decode())


def write_constant_note(node: onnx.NodeProto, note: ConstantNote) -> None:
    """Add the note to a Constant node."""
    node.metadata_props.add(key=keys.CONSTANT, value=msgspec.json.encode(note).decode())


def read_constant_note(node: onnx.NodeProto) -> ConstantNote | None:
    """The note of a node; None if it has none."""
    for entry in node.metadata_props:
        if entry.key == keys.CONSTANT:
            return msgspec.json.decode(entry.value, type=ConstantNote)
    return None


def remove_constant_note(node: onnx.NodeProto) -> None:
    """Remove the note of a node, if it has one."""
    for position, entry in enumerate(node.metadata_props):
        if entry.key == keys.CONSTANT:
            del node.metadata_props[position]
            return
