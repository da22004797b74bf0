"""Folded models, and what unfolding has to bring stripped."""

from collections import Counter
from pathlib import Path

import onnx
import onnx.inliner
import onnx.reference
from onnx import ModelProto

from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.record import Record
from modelexport.rewriter import AnnotateReport, FoldRules, analyze, annotate, strip, unfold
from tests.helpers.handmade import (
    TWO_LAYERS_MODULES,
    TWO_LAYERS_SCOPES,
    record_of,
    two_layers,
)
from tests.helpers.subgraphs import save_model

MODES = ("repeated", "nested", "all")
FOLD = [Inject.FUNCTIONS]


def count_operators(model: ModelProto, *, constants: bool = True) -> Counter[str]:
    """Operators of all graphs; the inliner of onnx leaves constants of functions as nodes."""
    counts = Counter(node.op_type for _, node in walk_nodes(model))
    if not constants:
        del counts["Constant"]
    return counts


def module_rows(path: Path) -> dict[str, tuple[int, dict[str, int], int]]:
    return {r.tag: (r.own_nodes, r.op_types, r.parameters) for r in analyze(path).modules}


def fold_model(
    model: ModelProto, record: Record, folder: Path, *functions: str, **options: int
) -> tuple[AnnotateReport, ModelProto]:
    """Fold a model in a folder; gives the report and the folded model."""
    source, target = save_model(folder, model), folder / "f.onnx"
    rules = FoldRules(functions or ("repeated",), **options)
    report = annotate(source, record, target, inject=FOLD, fold_rules=rules, force=True)
    folded = onnx.load(target)
    onnx.checker.check_model(folded, full_check=True)
    if folded.functions:
        check_unfolding(target, source, folder)
    return report, folded


def blocks_record(model: ModelProto | None = None) -> Record:
    """The record of two layers whose last Identity is the root's, so that they are alike."""
    return record_of(model or two_layers(), TWO_LAYERS_MODULES, [*TWO_LAYERS_SCOPES[:-1], ""])


def check_unfolding(target: Path, source: Path, folder: Path) -> None:
    """Unfolding and stripping brings back every node and weight, under its name, in its place."""
    unfold(target, folder / "u.onnx", force=True)
    flat = onnx.load(folder / "u.onnx")
    assert not flat.functions
    onnx.checker.check_model(flat, full_check=True)
    strip(folder / "u.onnx", folder / "s.onnx", force=True)
    stripped, plain = onnx.load(folder / "s.onnx"), onnx.load(source)
    assert list(stripped.graph.node) == list(plain.graph.node)
    assert list(stripped.graph.initializer) == list(plain.graph.initializer)
    assert list(stripped.opset_import) == list(plain.opset_import)
    assert graph_digest(stripped) == graph_digest(plain)
