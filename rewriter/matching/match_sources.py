"""What matching may use besides the graph: weights, and runs of the file."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import onnx

from modelexport.errors import RecordError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.observer import (
    Fingerprints,
    Observer,
    expected_bytes,
    recorded_values,
)

Observe = Callable[[Feeds, float], Fingerprints]
"""Runs a file on some inputs and gives a fingerprint of every value.

Its second argument is the magnitude from which numbers count as infinite.
"""


MAX_INPUT_BYTES = 1 << 32
"""Maximum number of bytes that an .npz file of inputs may unpack to."""


@dataclass(frozen=True)
class MatchSources:
    """What matching may look at besides the graph.

    Attributes:
        read: Reads an initializer.
        observe: Runs the file; None when it may not run.
        prepare: Does the part of loading the file that does not depend on its inputs.
        evidence: The kinds of evidence that may be used.
        not_run_because: Why the file may not run; "" when it may.
        reference: Runs the traced file; None to use the recorded fingerprints.
        inputs: Inputs in place of the recorded ones, by name.
    """

    read: ReadInitializer = field(default=lambda _: None)
    observe: Observe | None = None
    prepare: Callable[[], None] = field(default=lambda: None)
    evidence: frozenset[str] = frozenset(EvidenceKind)
    not_run_because: str = ""
    reference: Observe | None = None
    inputs: tuple[tuple[str, Array], ...] | None = None


@contextmanager
def open_sources(
    container: OnnxContainer, model: onnx.ModelProto, record: Record, options: MatchOptions
) -> Iterator[MatchSources]:
    """Open what matching may look at besides the graph of a file.

    Args:
        container: The file.
        model: Its model: the container's skeleton, or what became of that.
        record: Of the model.
        options: What is allowed.

    Raises:
        FileProblem: The reference or the inputs cannot be read.
        RecordError: The reference is not the file that was traced.
        UsageError: Options contradict each other.
    """
    options.check()
    if not options.run:
        yield MatchSources(
            container.array, evidence=options.evidence, not_run_because="--no-run was given"
        )
        return
    libraries = [str(path) for path in options.libraries]
    size = expected_bytes(record)
    with ExitStack() as stack:
        reference = None
        if options.reference is not None:
            traced = stack.enter_context(OnnxContainer.open(options.reference))
            _check_reference(traced, record, options.reference)
            reference = Observer(
                traced, traced.skeleton(), size, libraries, memory=options.memory
            ).fingerprints
        expected = recorded_values(record) if reference is None else ()
        observer = Observer(container, model, size, libraries, expected, options.memory)
        yield MatchSources(
            container.array,
            observer.fingerprints,
            observer.prepare,
            options.evidence,
            reference=reference,
            inputs=None if options.probe is None else tuple(read_inputs(options.probe)),
        )


def _check_reference(traced: OnnxContainer, record: Record, path: Path) -> None:
    if graph_digest(traced.skeleton()) != record.digest:
        raise RecordError(
            f"{path}: not the plain file of the record; the reference must be the file that was "
            "traced."
        )


def read_inputs(path: Path) -> Iterator[tuple[str, Array]]:
    """The arrays of an .npz file by name.

    Raises:
        UsageError: There is no such file, or it is of another format.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file.")
    try:
        with path.open("rb") as stream, _open_archive(stream) as archive:
            _check_size(archive)
            for name in archive.files:
                array: Any = archive[name]
                if isinstance(array, bytes):
                    raise ValueError(f"{name} is no array")  # noqa: TRY004 - the file's fault
                yield name, array.astype(object) if array.dtype.kind == "U" else array
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file.") from error
    except _ARCHIVE_ERRORS as error:
        raise UsageError(f"{path}: not an .npz file of arrays by input name ({error}).") from error


_ARCHIVE_ERRORS = (
    *(OSError, EOFError, BadZipFile, zlib.error, struct.error),
    *(ValueError, TypeError, LookupError, OverflowError, SyntaxError),  # of headers of arrays
    RuntimeError,  # of encrypted entries, and of methods and versions that Python does not know
)
"""What Python and numpy raise about a damaged .npz file."""


def _check_size(archive: np.lib.npyio.NpzFile) -> None:
    size = sum(entry.file_size for entry in archive.zip.infolist()) if archive.zip else 0
    if size > MAX_INPUT_BYTES:
        raise ValueError(f"it unpacks to {size:,} bytes, more than {MAX_INPUT_BYTES:,}")


def _open_archive(stream: BinaryIO) -> np.lib.npyio.NpzFile:
    loaded = np.load(stream, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("it holds a single array")  # noqa: TRY004 - the file's fault
    return loaded
