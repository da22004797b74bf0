"""Whether an annotated file is what it should be."""

from collections.abc import Sequence
from pathlib import Path

from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.folding import unfolded
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.validation.checked_file import Subject, Validation
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

    The onnx checker accepts it; onnxruntime runs it; its tags are well formed and known to
    its module tree.

    Args:
        path: The file.
        record: Its trace record or the path of that: its inputs are run, its modules are known.
        reference: The plain file, whose outputs must be the same bit for bit.
        consistency: Whether to look for tags that contradict the graph as well.
        strict: Whether a node without a tag, and a check that could not be made, are faults.
        libraries: Custom operator libraries that the runtime loads first.

    Examples:
        >>> from modelexport.rewriter import validate
        >>> found = validate("net.annotated.onnx", record="net.trace.json", consistency=True)
        >>> found.good, found.checks
        (True, ['tags', 'consistency', 'checker', 'runs'])
        >>> [fault.message for fault in validate("net.onnx").faults]
        ['no node carries a tag']

    Raises:
        FileProblem: A file cannot be read.
    """
    path = Path(path)
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with OnnxContainer.open(path) as container:
        file = Subject(path, unfolded(container.skeleton(), str(path)), record)
        check_tags(file)
        if consistency:
            check_consistency(file)
    check_by_onnx(file)
    plain = None if reference is None else Path(reference)
    check_runs(file, plain, [str(library) for library in libraries])
    if strict:
        _be_strict(file)
    return file.result


def _be_strict(file: Subject) -> None:
    """What else is not as it could be."""
    for number in range(len(file.graph)):
        if number not in file.tags:
            advice = f"annotate with --explain '{_address(file.graph, number)}' to see why"
            file.fault("strict", "it carries no tag", advice, number)
    for note in file.result.notes:
        file.fault("strict", note, "make this check possible, or leave --strict out")


def _address(graph: ModelGraph, number: int) -> str:
    """How `--explain` calls a node."""
    key = graph.keys[number]
    return f"{key.graph}#{key.position}"
