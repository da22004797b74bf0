"""What extracting gives."""

import msgspec


class BoundaryTensor(msgspec.Struct, frozen=True):
    """An input or output of an extracted part.

    Attributes:
        name: Its name.
        type: Type of its elements, as ONNX names it.
        shape: Its extents; a text for an open one, None where the rank is not known.
        source: What it is: an input of the whole file, or the tag of the module that computes it.
        op_type: The operator that computes it; empty for an input of the whole file.
        readers: Tags of the modules that read it, as far as they are on the other side.
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
        modules: The modules that it is: paths, with `@` and a number for one call.
        nodes: Number of its nodes.
        weight_bytes: Bytes of the weights that it reads.
        inputs: Its inputs.
        outputs: Its outputs.
        equal: Whether it gives the whole file's values, bit for bit; None when it was not checked.
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
