"""Extracting: one or several modules become a runnable file of their own."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Unpack

import msgspec
import onnx

from modelexport.hierarchy.place_options import PlaceKeywords
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import session_source
from modelexport.rewriter.extraction.graph_parts import GraphPart, MainGraph, weight_bytes
from modelexport.rewriter.extraction.module_parts import module_part
from modelexport.rewriter.extraction.part_check import PartCheck, RunnablePart, written_part
from modelexport.rewriter.extraction.part_inputs import save_arrays
from modelexport.rewriter.extraction.part_model import part_model
from modelexport.rewriter.extraction.results import BoundaryTensor, Extraction, checked
from modelexport.rewriter.extraction.value_types import ValueInfos, value_types
from modelexport.rewriter.graph.texts import require_text
from modelexport.rewriter.selection.module_calls import (
    ModuleCall,
    named_calls,
    notes_about_empty,
)
from modelexport.support.files import check_target
from modelexport.support.folders import staged_files
from modelexport.support.gc_pause import gc_paused
from modelexport.support.part_folders import WrittenFile, removed_on_error


@gc_paused()
def extract(
    path: str | Path,
    modules: str | Sequence[str],
    out_path: str | Path | None,
    *,
    partly: bool = False,
    check: bool = False,
    save_inputs: str | Path | None = None,
    force: bool = False,
    **placement: Unpack[PlaceKeywords],
) -> Extraction:
    """Write a module as a runnable file of its own, with its hierarchy.

    Its inputs and outputs have the names and types that these values have in the whole file.
    Weights are not read: inline ones are copied as bytes, external data is referred to, or copied
    by range where the part goes into another folder.

    Args:
        path: An annotated file; any file of the model with `record` or `inherit_from`.
        modules: A path, a tag or a pattern; `PATH@1` for one call; `layer.0-2` for several; or
            several of these.
        out_path: The file of the part; None to find the boundary without writing.
        partly: Whether fused nodes that do only some of a module's work go into the part, too.
        check: Whether to run the whole and the part, without optimisations, and compare them.
        save_inputs: A .npz file for the inputs of the part, as the whole file computes them.
        force: Whether existing files may be overwritten.
        placement: How the modules are found, see `PlaceOptions`: `record`, `inherit_from`, `run`,
            `libraries`, `memory`.

    Examples:
        >>> from modelexport import extract
        >>> part = extract("net.annotated.onnx", "layer.1", "layer1.onnx", check=True)
        >>> part.nodes, part.equal
        (5, True)

    Raises:
        FileProblem: A file cannot be read or written.
        RuntimeFailedError: onnxruntime does not run one of the files.
        UsageError: There is no such module, or it cannot be cut out.
    """
    patterns = [modules] if isinstance(modules, str) else list(modules)
    written: list[WrittenFile] = []
    with (
        removed_on_error(written),
        _staged_output(out_path, Path(path), force=force) as staged,
        PlacedFile.open(path, **placement) as file,
    ):
        calls, nodes_of = named_calls(file, patterns, partly=partly)
        chosen = set().union(*nodes_of.values())
        graph = MainGraph(file)
        part, adopted = module_part(file, graph, calls, chosen)
        types = value_types(file, [*part.inputs, *part.outputs])
        model = part_model(file, part, types)
        notes = [*file.notes, *notes_about_empty(nodes_of), *adopted]
        boundary = _Boundary(file, graph, part, types)
        result = _extraction(file, part, boundary, calls, model, notes)
        if save_inputs is not None:
            check_target(Path(save_inputs), force=force)
        if out_path is not None and staged is not None:
            folder = Path(out_path).parent
            file.container.write_part(staged, model, home=folder, force=force)
            result = msgspec.structs.replace(result, output=staged.name)
        if not check and save_inputs is None:
            return result
        border = PartCheck(file, [*part.inputs, *part.outputs], types)
        if check:
            with _runnable_part(file, model, staged, out_path) as runnable:
                different = border.different(runnable, part.inputs, part.outputs)
            result = checked(result, different, border.rounding_note(part.outputs))
        if save_inputs is not None:
            inputs = {name: border.values[name] for name in part.inputs}
            save_arrays(Path(save_inputs), inputs, force=force)
            written.append(WrittenFile.at(Path(save_inputs)))
    return result


@contextmanager
def _staged_output(
    target: str | Path | None, source: Path, *, force: bool
) -> Iterator[Path | None]:
    """Where to write the part. It gets its name when it is complete and checked.

    So another process that writes a part of this name does not disturb the check.
    """
    if target is None:
        yield None
        return
    target = Path(target)
    check_target(target, force=force, inputs=[source])
    with staged_files(target.parent, force=force) as folder:
        yield folder / target.name


def _runnable_part(
    file: PlacedFile, model: onnx.ModelProto, staged: Path | None, target: str | Path | None
) -> AbstractContextManager[RunnablePart]:
    """The part as it was written; where none was, as it is in memory."""
    if staged is not None and target is not None:
        return written_part(file, staged, Path(target).parent)
    source = partial(session_source, file.container)
    return nullcontext(RunnablePart(file.path, model, source))


def _extraction(
    file: PlacedFile,
    part: GraphPart,
    boundary: "_Boundary",
    calls: list[ModuleCall],
    model: onnx.ModelProto,
    notes: list[str],
) -> Extraction:
    return Extraction(
        file=file.path.name,
        output=None,
        modules=[str(call) for call in calls],
        nodes=len(part.nodes),
        weight_bytes=sum(map(weight_bytes, model.graph.initializer)),
        inputs=[boundary.tensor(name) for name in part.inputs],
        outputs=[boundary.tensor(name) for name in part.outputs],
        notes=notes,
    )


def _type_name(number: int) -> str:
    """ONNX's name of an element type; the number where it has none."""
    types = onnx.TensorProto.DataType
    return types.Name(number) if number in types.values() else str(number)


class _Boundary:
    """Describes the values that enter or leave a part."""

    def __init__(
        self, file: PlacedFile, graph: MainGraph, part: GraphPart, types: ValueInfos
    ) -> None:
        self._file, self._graph, self._types = file, graph, types
        self._inside = set(part.nodes)

    def tensor(self, name: str) -> BoundaryTensor:
        """One value."""
        producer = self._graph.producer.get(name)
        is_output = producer in self._inside
        readers = [
            self._file.tag(position) or ""
            for position in self._graph.consumers.get(name, ())
            if (position in self._inside) != is_output
        ]
        kind = self._types[name].type.tensor_type
        shape = None
        if kind.HasField("shape"):
            dims = kind.shape.dim
            shape = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in dims]
        op_type = "" if producer is None else self._graph.nodes[producer].op_type
        require_text(name, op_type, *(shape or ()))
        return BoundaryTensor(
            name=name,
            type=_type_name(kind.elem_type),
            shape=shape,
            source="input" if producer is None else self._file.tag(producer) or "",
            op_type=op_type,
            readers=list(dict.fromkeys(readers)),
        )
