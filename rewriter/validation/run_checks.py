"""Whether onnx's checker accepts a file, whether it runs, and gives what the plain file gives."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, ML_DOMAIN, canonical_domain
from modelexport.rewriter.execution.runtime import Feeds, Session, same_bits
from modelexport.rewriter.validation.checked_file import Subject
from modelexport.support.error_texts import first_line

_CHECKED_DOMAINS = DEFAULT_DOMAINS | {ML_DOMAIN}
_PROTOBUF_LIMIT = 2**31 - 1


def check_by_onnx(file: Subject) -> None:
    """The checker of onnx, with shape inference."""
    if file.path.stat().st_size > _PROTOBUF_LIMIT:
        file.result.notes.append("the onnx checker was left out: it reads no file above 2 GiB")
        return
    if unknown := sorted(_unknown_operators(file)):
        file.result.notes.append(
            f"the onnx checker was left out: it does not know {', '.join(unknown)}, which "
            "optimisers of onnxruntime put into ONNX's own domain"
        )
        return
    file.result.checks.append("checker")
    try:
        onnx.checker.check_model(str(file.path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        file.fault(
            "checker", f"onnx's checker refuses it: {first_line(error)}", "export it again",
            file.blamed(str(error)),
        )  # fmt: skip


def _unknown_operators(file: Subject) -> set[str]:
    """Operators that stand in a domain of ONNX and are none of that version."""
    versions = {entry.domain: entry.version for entry in file.model.opset_import}
    kinds = {(n.domain, n.op_type) for n in file.graph.nodes if n.domain in _CHECKED_DOMAINS}
    return {
        kind
        for domain, kind in kinds
        if not _has_operator(domain, kind, versions.get(domain, versions.get("ai.onnx", 1)))
    }


def _has_operator(domain: str, kind: str, version: int) -> bool:
    try:
        onnx.defs.get_schema(kind, version, canonical_domain(domain))
    except onnx.defs.SchemaError:
        return False
    return True


def check_runs(file: Subject, reference: Path | None, libraries: Sequence[str]) -> None:
    """It runs, and gives what the plain file gives."""
    plain = None if reference is None else Session(reference, libraries=libraries)
    try:
        session = Session(file.path, libraries=libraries)
        feeds = _recorded(file, session)
        if feeds is None and (feeds := _generated(file, session)) is None:
            return
        outputs = session.run(feeds)
    except RuntimeFailedError as error:
        file.result.checks.append("runs")
        message = str(error).rstrip(".")
        advice = "export it again, or give the library of its operators with --custom-ops"
        file.fault("runs", message, advice, file.blamed(message))
        return
    file.result.checks.append("runs")
    if plain is not None:
        file.result.checks.append("reference")
        _compare(file, outputs, plain, feeds, str(reference))


def _recorded(file: Subject, session: Session) -> Feeds | None:
    """The record's inputs, where they are those of the file."""
    if file.record is None:
        return None
    found = {entry.name: entry.array() for entry in file.record.probe.inputs}
    if found and set(found) == set(session.inputs):
        return found
    file.result.notes.append("the record's inputs are not the file's: generated ones ran")
    return None


def _generated(file: Subject, session: Session) -> Feeds | None:
    """Generated inputs; that a file runs on none of them says nothing against it."""
    try:
        return session.working_feeds()
    except RuntimeFailedError as error:
        why = str(error).rstrip(".")
        file.result.notes.append(f"it was not run: no inputs could be generated ({why})")
        return None


def _compare(
    file: Subject, outputs: dict[str, object], plain: Session, feeds: Feeds, where: str
) -> None:
    advice = "compare with the plain file of this very export"
    try:
        expected = plain.run(feeds)
    except RuntimeFailedError as error:
        file.fault("reference", str(error).rstrip("."), advice)
        return
    if list(expected) != list(outputs):
        message = f"its outputs are {_list(outputs)}, those of {where} are {_list(expected)}"
        file.fault("reference", message, advice)
        return
    for name, value in expected.items():
        if not same_bits(value, outputs[name]):
            message = f"output {name} differs from that of {where}"
            file.fault("reference", message, advice)


def _list(names: dict[str, object]) -> str:
    return ", ".join(names)
