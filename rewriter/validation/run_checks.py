"""Checks that run tools on a file: onnx's checker, and onnxruntime."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, ML_DOMAIN, canonical_domain
from modelexport.rewriter.container import file_source
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.generated_feeds import generate_feeds
from modelexport.rewriter.execution.outputs import same_bits
from modelexport.rewriter.execution.session import Session, open_session
from modelexport.rewriter.graph.onnx_errors import ONNX_ERRORS
from modelexport.rewriter.validation.checked_file import CheckedFile
from modelexport.rewriter.validation.results import Fault, Findings
from modelexport.support.error_texts import first_line

_CHECKED_DOMAINS = DEFAULT_DOMAINS | {ML_DOMAIN}
_PROTOBUF_LIMIT = 2**31 - 1
"""Bytes of the largest file that protobuf, and so onnx's checker, can read."""


def check_by_onnx(file: CheckedFile) -> Findings:
    """Check a file with onnx's checker, shape inference included."""
    if file.path.stat().st_size > _PROTOBUF_LIMIT:
        return Findings(notes=("the onnx checker was left out: it reads no file above 2 GiB",))
    if unknown := sorted(_unknown_operators(file)):
        note = (
            f"the onnx checker was left out: it does not know {', '.join(unknown)}, which "
            "optimisers of onnxruntime put into ONNX's own domain"
        )
        return Findings(notes=(note,))
    try:
        onnx.checker.check_model(str(file.path), full_check=True)
    except ONNX_ERRORS as error:
        fault = file.fault(
            "checker",
            f"onnx's checker refuses it: {first_line(error)}",
            "export it again",
            file.node_named_in(str(error)),
        )
        return Findings(("checker",), (fault,))
    return Findings(("checker",))


def _unknown_operators(file: CheckedFile) -> set[str]:
    """Operators in ONNX's own domains that this version of ONNX does not have."""
    versions = {entry.domain: entry.version for entry in file.file.model.opset_import}
    operators = {
        (n.domain, n.op_type)
        for n in file.graph.nodes
        if n.domain in _CHECKED_DOMAINS and isinstance(n.op_type, str)  # bytes where it is no UTF-8
    }
    return {
        op_type
        for domain, op_type in operators
        if not _has_operator(domain, op_type, versions.get(domain, versions.get("ai.onnx", 1)))
    }


def _has_operator(domain: str, op_type: str, version: int) -> bool:
    try:
        onnx.defs.get_schema(op_type, version, canonical_domain(domain))
    except onnx.defs.SchemaError:
        return False
    return True


def check_runs(file: CheckedFile, reference: Path | None, libraries: Sequence[str]) -> Findings:
    """Check that a file runs, and that it computes the very outputs of its plain file.

    Args:
        file: The file.
        reference: The plain file; None to compare no outputs.
        libraries: Custom operator libraries that onnxruntime loads first.

    Raises:
        OnnxFileError: The plain file cannot be read.
        RuntimeFailedError: onnxruntime does not load the plain file.
    """
    plain = None if reference is None else open_session(reference, libraries=libraries)
    notes: tuple[str, ...] = ()
    try:
        source = file_source(file.file.container)
        session = Session(file.path, source=source, libraries=libraries)
        feeds, notes = _feeds(file, session)
        if feeds is None:
            return Findings(notes=notes)
        outputs = session.run(feeds)
    except RuntimeFailedError as error:
        message = str(error).rstrip(".")
        advice = "export it again, or give the library of its operators with --custom-ops"
        fault = file.fault("runs", message, advice, file.node_named_in(message))
        return Findings(("runs",), (fault,), notes)
    if plain is None:
        return Findings(("runs",), notes=notes)
    faults = _differences(file, outputs, plain, feeds, str(reference))
    return Findings(("runs", "reference"), tuple(faults), notes)


def _feeds(file: CheckedFile, session: Session) -> tuple[Feeds | None, tuple[str, ...]]:
    """The recorded inputs if they fit the file, else generated ones; and notes about them.

    There are no inputs when the file runs on none of the generated ones: that is no fault.
    """
    notes: tuple[str, ...] = ()
    if file.record is not None:
        recorded = {entry.name: entry.to_array() for entry in file.record.probe.inputs}
        if recorded and set(recorded) == set(session.inputs):
            return recorded, notes
        notes = ("the record's inputs are not those of the file: it ran on generated ones",)
    try:
        return generate_feeds(session), notes
    except RuntimeFailedError as error:
        reason = str(error).rstrip(".")
        return None, (*notes, f"it was not run: no inputs could be generated ({reason})")


def _differences(
    file: CheckedFile, outputs: Mapping[str, object], plain: Session, feeds: Feeds, label: str
) -> Iterator[Fault]:
    """Faults of outputs that differ from those of the plain file."""
    advice = "compare with the plain file of this very export"
    try:
        expected = plain.run(feeds)
    except RuntimeFailedError as error:
        yield file.fault("reference", str(error).rstrip("."), advice)
        return
    if list(expected) != list(outputs):
        message = (
            f"its outputs are {', '.join(outputs)}, those of {label} are {', '.join(expected)}"
        )
        yield file.fault("reference", message, advice)
        return
    for name, value in expected.items():
        if not same_bits(value, outputs[name]):
            yield file.fault("reference", f"output {name} differs from that of {label}", advice)
