"""Opening a file for edits by module."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from modelexport.hierarchy.place_options import PlaceKeywords
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.editing.module_graph import ModuleGraph


@contextmanager
def open_graph(
    path: str | Path,
    **placement: Unpack[PlaceKeywords],
) -> Iterator[ModuleGraph]:
    """Open a file as an onnx-graphsurgeon graph whose nodes can be asked for by module.

    Args:
        path: An annotated file; any file of the model with `record` or `inherit_from`, whose tags
            are then written by `save`.
        placement: How the modules are found, see `PlaceOptions`: `record`, `inherit_from`, `run`,
            `libraries`, `memory`.

    Examples:
        >>> from modelexport import open_graph
        >>> with open_graph("net.annotated.onnx") as file:
        ...     [node.op for node in file.nodes("layer.1.fc")]
        ...     [tensor.name for tensor in file.outputs("layer.1")]
        ...     node = file.replace("layer.1", "FusedLayer", domain="my.plugins")
        ...     file.module_of(node)
        ...     file.save("plugin.onnx")
        ['MatMul', 'Add']
        ['p1']
        'layer.1'

    Raises:
        FileProblem: A file cannot be read.
        ForeignRecordError: The record, or the annotated file, is of another model.
        SurgeryError: onnx-graphsurgeon cannot read the file, or not all of it.
        UsageError: There is no way to know the modules of the file.
    """
    with PlacedFile.open(path, **placement) as file:
        yield ModuleGraph(file)
