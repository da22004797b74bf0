"""Whether an annotated file is what it should be."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.validation.checked_file import CheckedFile
from modelexport.rewriter.validation.lost_functions import check_functions
from modelexport.rewriter.validation.results import Fault, Findings, Validation
from modelexport.rewriter.validation.run_checks import check_by_onnx, check_runs
from modelexport.rewriter.validation.tag_checks import check_consistency, check_tags


def validate(
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    reference: str | Path | None = None,
    consistency: bool = False,
    strict: bool = False,
    libraries: Sequence[str | Path] = (),
) -> Validation:
    """Check an annotated file.

    The onnx checker accepts it; onnxruntime runs it; its tags are well formed and known to its
    module tree.

    Args:
        path: The file.
        record: Its trace record, or the path of the record. The file runs on the recorded inputs,
            and its tags must be of the recorded modules.
        reference: The plain file. The outputs must be the same, bit for bit.
        consistency: Look for tags that contradict the graph, too.
        strict: Count a node without a tag, and a check that could not be made, as faults.
        libraries: Custom operator libraries that onnxruntime loads first.

    Examples:
        >>> from modelexport import validate
        >>> result = validate("net.annotated.onnx", record="net.trace.json", consistency=True)
        >>> result.good, result.checks
        (True, ['tags', 'consistency', 'checker', 'runs'])
        >>> [fault.message for fault in validate("net.onnx").faults]
        ['no node carries a tag']

    Raises:
        FileProblem: A file cannot be read.
        RuntimeFailedError: onnxruntime does not load the reference.
    """
    path = Path(path)
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with ModelFile.open(path) as opened:
        file = CheckedFile(opened, record)
        findings = check_tags(file)
        if consistency:
            findings += check_consistency(file)
    findings += check_by_onnx(file)
    lost = check_functions(file)
    findings += lost
    if not lost.faults:  # else it cannot run, and this is why
        plain = None if reference is None else Path(reference)
        findings += check_runs(file, plain, [str(library) for library in libraries])
    if strict:
        findings += Findings(faults=tuple(_strict_faults(file, findings.notes)))
    return Validation(
        file=path.name,
        checks=list(findings.checks),
        faults=list(findings.faults),
        nodes=len(file.graph),
        tagged=len(file.tags),
        notes=list(findings.notes),
        remarks=list(findings.remarks),
    )


def _strict_faults(file: CheckedFile, notes: Sequence[str]) -> Iterator[Fault]:
    """Nodes without a tag, and checks that could not be made."""
    for number, key in enumerate(file.graph.keys):
        if number not in file.tags:
            address = f"{key.graph}#{key.position}"
            advice = f"annotate with --explain '{address}' to see why"
            yield file.fault("strict", "it carries no tag", advice, number)
    for note in notes:
        yield file.fault("strict", note, "make this check possible, or leave --strict out")
