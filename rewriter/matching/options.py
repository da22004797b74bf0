"""Opening what matching may look at: the weights, and runs of the file and of its plain twin."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import onnx

from modelexport.errors import RecordError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.record import Record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.execution.observer import Observer, expected_bytes, recorded_values
from modelexport.rewriter.matching.recognizer import MatchSources


@contextmanager
def open_sources(
    container: OnnxContainer, model: onnx.ModelProto, record: Record, matching: MatchOptions
) -> Iterator[MatchSources]:
    """What may be looked at beyond the graph of a file.

    Args:
        container: The file.
        model: Its model: the container's skeleton, or what became of that.
        record: Of the model.
        matching: What is allowed.

    Raises:
        FileProblem: The reference or the inputs cannot be read.
        RecordError: The reference is not the file that was traced.
        UsageError: Options contradict each other.
    """
    matching.check()
    if not matching.run:
        why = "--no-run was given"
        yield MatchSources(container.array, evidence=matching.evidence, unobserved=why)
        return
    libraries = [str(path) for path in matching.libraries]
    size = expected_bytes(record)
    with ExitStack() as stack:
        beside = None
        if matching.reference is not None:
            plain = stack.enter_context(OnnxContainer.open(matching.reference))
            if graph_digest(plain.skeleton()) != record.digest:
                raise RecordError(
                    f"{matching.reference}: not the plain file of the record; the reference must "
                    "be the file that was traced."
                )
            beside = Observer(plain, plain.skeleton(), size, libraries).fingerprints
        recorded = recorded_values(record) if beside is None else ()
        observer = Observer(container, model, size, libraries, recorded)
        yield MatchSources(
            container.array,
            observer.fingerprints,
            observer.prepare,
            matching.evidence,
            beside=beside,
            inputs=None if matching.probe is None else tuple(read_inputs(matching.probe)),
        )


def read_inputs(path: Path) -> Iterator[tuple[str, Array]]:
    """The arrays of an .npz file by name.

    Raises:
        UsageError: It is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                array = arrays[name]
                yield name, array.astype(object) if array.dtype.kind == "U" else array
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: not an .npz file of arrays by input name ({error}).") from error
