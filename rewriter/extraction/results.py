"""The results of extracting and splitting."""

from typing import TypeVar

import msgspec

from modelexport.hierarchy.choices import SplitBalance


class BoundaryTensor(msgspec.Struct, frozen=True):
    """An input or output of an extracted part.

    Attributes:
        name: Its name.
        type: Type of its elements, as ONNX names it.
        shape: Its extents; a text for an open one, None where the rank is unknown.
        source: `input` for an input of the whole file, else the tag of the module that computes it.
        op_type: The operator that computes it; empty for an input of the whole file.
        readers: Tags of the modules on the other side of the boundary that read it.
    """

    name: str
    type: str
    shape: list[int | str] | None
    source: str
    op_type: str = ""
    readers: list[str] = []


class Extraction(msgspec.Struct, frozen=True):
    """A part that was cut out of a file.

    Attributes:
        file: The file's name.
        output: The part's file; None when none was written.
        modules: The modules that it consists of: paths, with `@` and a number for one call.
        nodes: Number of its nodes.
        weight_bytes: Bytes of the weights that it reads.
        inputs: Its inputs.
        outputs: Its outputs.
        equal: Whether it computes the values of the whole file, bit for bit; None where it was not
            checked.
        different: Names of the outputs that are not equal.
        notes: What the user should know.
    """

    file: str
    output: str | None
    modules: list[str]
    nodes: int
    weight_bytes: int
    inputs: list[BoundaryTensor]
    outputs: list[BoundaryTensor]
    equal: bool | None = None
    different: list[str] = []
    notes: list[str] = []


class SplitPart(msgspec.Struct, frozen=True):
    """One part of a split file.

    Attributes:
        file: Its file, in the folder of the manifest.
        nodes: Number of its nodes.
        inputs: Names of what it reads: inputs of the whole, or outputs of parts before it.
        outputs: Names of the values that it computes for others.
        tags: Tags of the modules whose nodes it has.
        share: Its share (0-1) of the cost that is balanced; None for parts that were named.
    """

    file: str
    nodes: int
    inputs: list[str]
    outputs: list[str]
    tags: list[str]
    share: float | None = None


class Split(msgspec.Struct, frozen=True):
    """A file that was split; the manifest holds this as JSON.

    Attributes:
        file: The file's name.
        parts: Its parts, in the order in which they run.
        equal: Whether they compute the outputs of the whole, bit for bit; None where it was not
            checked.
        different: Names of the outputs that are not equal.
        notes: What the user should know.
        balance: The cost that was balanced; None for parts that were named.
        assignments: The part of each node, as Olive's SplitModel reads it; None where that was not
            asked for.
    """

    file: str
    parts: list[SplitPart]
    equal: bool | None = None
    different: list[str] = []
    notes: list[str] = []
    balance: SplitBalance | None = None
    assignments: str | None = None


_Result = TypeVar("_Result", Extraction, Split)


def checked(result: _Result, different: list[str], note: str | None) -> _Result:
    """A result with the verdict of its check.

    Args:
        result: The result.
        different: Names of the outputs that are not equal.
        note: What the user should know about the check.
    """
    notes = [*result.notes, *([] if note is None else [note])]
    return msgspec.structs.replace(result, equal=not different, different=different, notes=notes)
