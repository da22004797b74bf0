"""Opening a file for edits by module."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.editing.module_graph import ModuleGraph


@contextmanager
def open_graph(
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    inherit_from: str | Path | None = None,
    run: bool = True,
    libraries: tuple[Path, ...] = (),
    memory: int = DEFAULT_MEMORY,
) -> Iterator[ModuleGraph]:
    """Open a file as an onnx-graphsurgeon graph whose nodes can be asked for by module.

    Args:
        path: An annotated file; any file of the model with `record` or `inherit_from`, whose tags
            are then written by `save`.
        record: A trace record of the model, or its path.
        inherit_from: An annotated file that this file was made from, in place of a record.
        run: Whether the file may be run to match it, where it carries no tags.
        libraries: Custom operator libraries that onnxruntime loads first.
        memory: Maximum bytes of values that are in memory at one time, where the file is run to
            match it.

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
    with PlacedFile.open(
        path, record=record, inherit_from=inherit_from, run=run, libraries=libraries, memory=memory
    ) as file:
        yield ModuleGraph(file)
