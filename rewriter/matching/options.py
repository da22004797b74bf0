"""What matching may look at: kinds of evidence, and runs of the file and of its plain twin."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import onnx

from modelexport.errors import RecordError, UsageError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import digest
from modelexport.hierarchy.record import Record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.execution.observing import Observer, expected_bytes, recorded_values
from modelexport.rewriter.matching.recognizer import MatchSources

ALL_EVIDENCE: frozenset[str] = frozenset(EvidenceKind) - {EvidenceKind.CARRIED}


class MatchOptions(msgspec.Struct, frozen=True):
    """How a file is matched with a record.

    Attributes:
        evidence: The kinds of evidence that may be used.
        run: Whether the file may be run; it executes what is in it.
        probe: An .npz with inputs of one's own, by name, in place of the recorded ones; needs
            `reference`, because the recorded fingerprints are those of the recorded inputs.
        reference: The plain file that was traced, to be run beside the target.
        libraries: Custom operator libraries that the runtime loads first.
    """

    evidence: frozenset[str] = ALL_EVIDENCE
    run: bool = True
    probe: Path | None = None
    reference: Path | None = None
    libraries: tuple[Path, ...] = ()

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            UsageError: Options contradict each other.
        """
        unknown = self.evidence - ALL_EVIDENCE
        if unknown or not self.evidence:
            raise UsageError(f"There is no evidence called {', '.join(sorted(unknown)) or 'so'}.")
        if self.probe is not None and self.reference is None:
            raise UsageError(
                "--probe needs --reference PLAIN.onnx: the record knows what the model computes "
                "on the recorded inputs only."
            )
        if not self.run and (self.probe or self.reference or self.libraries):
            raise UsageError("--no-run fits neither --probe nor --reference nor --custom-ops.")


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
            if digest(plain.skeleton()) != record.digest:
                raise RecordError(
                    f"{matching.reference}: not the plain file of the record; the reference must "
                    "be the file that was traced."
                )
            beside = Observer(plain, plain.skeleton(), size, libraries).prints
        recorded = recorded_values(record) if beside is None else ()
        observer = Observer(container, model, size, libraries, recorded)
        yield MatchSources(
            container.array,
            observer.prints,
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
