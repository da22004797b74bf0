"""One cell of the table: annotate one file of one model, and judge every decision."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import onnx
import onnxruntime as ort

from agreement.judging import Verdict, judge
from agreement.plan import FOREIGN, QUANTISED, Transformation
from agreement.store import CACHE, NotPossible, error_line
from agreement.subjects import Subject, Variant
from fixtures_gen.covers import Covers
from fixtures_gen.truth import Truth
from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter import AnnotateReport, Decision, annotate


class Cell(msgspec.Struct):
    """What came of one transformation of one model.

    Attributes:
        model, held_out, transform, kind: Which it is.
        status: `done`; `refused`, the record was called foreign; `not possible`, the file
            cannot be made; `failed`, annotating raised something else.
        said: The tool's or the refusal's first line, or the notes of the report.
        nodes: In the file, subgraphs included.
        known: Nodes whose truth is known; the verdicts are counts of these.
        tagged: Nodes that were given a tag.
        unexplained: Nodes without a tag and without a reason.
        covers: Modules that a node covers on average, where it covers several.
        fused: Nodes that cover several modules, in truth or as decided.
        claimed, claimed_right: Modules that they cover as decided; those of them that are true.
        to_cover, covered: Modules that they cover in truth; those of them that are decided, too.
        seconds: For annotating.
        runtime_seconds: For loading and running the file in onnxruntime.
    """

    model: str
    held_out: bool
    transform: str
    kind: str
    status: str
    said: str = ""
    nodes: int = 0
    known: int = 0
    tagged: int = 0
    exact: int = 0
    in_covers: int = 0
    ancestor: int = 0
    unresolved: int = 0
    wrong: int = 0
    unexplained: int = 0
    covers: float = 0.0
    fused: int = 0
    claimed: int = 0
    claimed_right: int = 0
    to_cover: int = 0
    covered: int = 0
    seconds: float = 0.0
    runtime_seconds: float | None = None


def verdicts_of(cell: Cell) -> dict[str, int | str]:
    """What a cell says that must not change from run to run: all but times, texts and covers."""
    others = {"said", "seconds", "runtime_seconds", "covers", "fused"}
    others |= {"claimed", "claimed_right", "to_cover", "covered"}
    verdicts = msgspec.structs.asdict(cell)
    return {name: value for name, value in verdicts.items() if name not in others}


class Detail(msgspec.Struct):
    """A node that came out neither exact nor in the covers, or a file that was refused."""

    model: str
    transform: str
    verdict: str
    node: str = ""
    op_type: str = ""
    true: list[str] = []
    said: str | None = None
    evidence: str | None = None
    covers: list[str] = []
    reason: str | None = None


def run_cell(
    subject: Subject, row: Transformation, *, reference: bool
) -> tuple[Cell, list[Detail]]:
    """Make the file if need be, annotate it as users do, and judge.

    Args:
        subject: The model.
        row: The transformation.
        reference: Give the plain file beside quantised ones.
    """
    entry = subject.entry
    cell = Cell(entry.name, entry.held_out, row.name, row.kind, "done")
    try:
        variant = subject.variant(row.start, row.steps)
        record = subject.record_path(row.record)
    except NotPossible as error:
        cell.status, cell.said = "not possible", str(error)
        return cell, []
    truth = variant.truth or Truth()
    op_types = dict(walk_nodes(onnx.load(variant.path, load_external_data=False)))
    cell.nodes, cell.known = len(op_types), len(truth.modules)
    more: dict[str, Any] = {}
    if reference and row.kind == QUANTISED:
        more["reference"] = subject.plain_path(row.record)
    start = time.perf_counter()
    report: AnnotateReport | None = None
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        try:
            report = annotate(variant.path, record, Path(folder, "out.onnx"), **more)
        except ForeignRecordError as error:
            cell.status, cell.said = "refused", _without_folder(error_line(error), variant.path)
        except Exception as error:  # noqa: BLE001 - a failure is a row of the table
            cell.status, cell.said = "failed", _without_folder(error_line(error), variant.path)
        cell.seconds = round(time.perf_counter() - start, 4)
    cell.runtime_seconds = _runtime_seconds(variant)
    if report is None:
        cell.unresolved = cell.known
        return cell, [Detail(cell.model, cell.transform, cell.status, reason=cell.said)]
    cell.said = _without_folder("; ".join(report.notes), variant.path)
    tree = subject.record(row.record).tree
    return cell, _judge_all(cell, report, truth, tree)


def _judge_all(cell: Cell, report: AnnotateReport, truth: Truth, tree: ModuleTree) -> list[Detail]:
    """Count the verdicts into the cell; gives the nodes that are not right."""
    cell.tagged = report.resolved
    counts: Counter[Verdict] = Counter()
    details = []
    several = [len(d.covers) for d in report.decisions if d.covers]
    for decision in report.decisions:
        cell.unexplained += decision.module is None and not decision.reason
        if (covers := truth.covers.get(decision.key)) is not None:
            details += _judge_covers(cell, decision, covers, tree)
        true = truth.modules.get(decision.key)
        if true is None:
            continue
        verdict = judge(true, decision.module, decision.covers, tree)
        if (
            verdict is Verdict.IN_COVERS
            and covers is not None
            and _is_covered(decision, covers, tree)
        ):
            verdict = Verdict.EXACT
        counts[verdict] += 1
        if verdict not in {Verdict.EXACT, Verdict.IN_COVERS}:
            details.append(_detail(cell, decision, true, verdict))
    for verdict in Verdict:
        setattr(cell, verdict.replace(" ", "_"), counts[verdict])
    cell.covers = round(sum(several) / len(several), 2) if several else 0.0
    if cell.kind == FOREIGN and not truth.modules:
        cell.wrong = cell.tagged
    return details


def _judge_covers(
    cell: Cell, decision: Decision, truth: Covers, tree: ModuleTree
) -> Iterator[Detail]:
    """Count what a node covers, if that is more than one module; gives the node if it is wrong."""
    claimed, required, allowed = _paths(decision, truth, tree)
    if max(len(claimed), len(required)) < 2:
        return
    cell.fused += 1
    cell.claimed += len(claimed)
    cell.claimed_right += len(claimed & allowed)
    cell.to_cover += len(required)
    cell.covered += len(claimed & required)
    if not required <= claimed <= allowed:
        yield _detail(cell, decision, frozenset(allowed), "covers")


def _is_covered(decision: Decision, truth: Covers, tree: ModuleTree) -> bool:
    """Whether a node covers what it does, nothing missing and nothing too many."""
    claimed, required, allowed = _paths(decision, truth, tree)
    return required <= claimed <= allowed


def _paths(decision: Decision, truth: Covers, tree: ModuleTree) -> tuple[set[str], ...]:
    """The modules that a node covers as decided, those that it must cover, and that it may."""
    parts = decision.covers or (() if decision.module is None else (decision.module,))
    groups = (parts, truth.required, truth.allowed)
    return tuple({tree.canonical(path) for path in group} for group in groups)


def _detail(cell: Cell, decision: Decision, true: frozenset[str], verdict: str) -> Detail:
    where = f"{decision.graph}#{decision.position} {decision.name}"
    return Detail(
        cell.model,
        cell.transform,
        verdict,
        where,
        decision.op_type,
        sorted(true),
        decision.module,
        decision.evidence,
        list(decision.covers),
        decision.reason,
    )


def _runtime_seconds(variant: Variant) -> float | None:
    """Seconds to load and run a file with onnxruntime's defaults; None if it cannot."""
    start = time.perf_counter()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            str(variant.path), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, variant.feeds)
    except Exception:  # noqa: BLE001 - onnxruntime's errors have no base of their own
        return None
    return round(time.perf_counter() - start, 4)


def _without_folder(sentence: str, path: Path) -> str:
    """A sentence that names a file by its name alone: no path of the machine is published."""
    return sentence.replace(str(path), path.name)
