"""The benchmark of agreement itself: its verdicts, its transformations, and its truth."""

import json
import shutil
import subprocess
import sys
from itertools import chain, permutations
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import pytest

from agreement import carrying
from agreement.baseline import report_changes
from agreement.cells import Cell
from agreement.judging import Verdict, judge
from agreement.kept import REORDERED, SCRAMBLED, folded
from agreement.lossy import DYNAMIC, FOUR_BITS, HALF_PRECISION, PREPARED, QDQ, QOPERATOR
from agreement.plan import TRANSFORMATIONS
from agreement.steps import Conversion, Step
from agreement.zoo import ENTRIES
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import Truth, feeds, truth
from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.graph_paths import walk_graphs, walk_nodes
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.commands import ROOT, environment
from tests.helpers.traced import TracedModels

if TYPE_CHECKING:
    from modelexport.hierarchy.module_tree import ModuleTree

LOSSY = (HALF_PRECISION, DYNAMIC, QDQ, QOPERATOR, FOUR_BITS)
NAMES = ("nested_sequential", "conv_batchnorm")


class Subject:
    """A model of the zoo, exported, with the true module of each node."""

    def __init__(self, name: str, traced: TracedModels, folder: Path) -> None:
        self.model, self.inputs = FIXTURES[name].build()
        exporters = (e for e in EXPORTERS if e not in FIXTURES[name].refused_by)
        result = traced(name, next(exporters))
        self.path = Path(shutil.copy(result.onnx_path, folder / "plain.onnx"))
        self.tree = result.record.tree
        self.truth = truth(self.model, self.inputs, self.path)
        self.feeds = feeds(self.model, self.inputs, onnx.load(self.path).graph)

    def after(self, step: Step, source: Path | None = None) -> Path:
        source = source or self.path
        target = source.with_name(f"{source.stem}-{step.apply.__name__}.onnx")
        step.apply(Conversion(source, target, self.feeds))
        return target


@pytest.fixture(scope="module", params=NAMES)
def subject(
    request: pytest.FixtureRequest,
    traced: TracedModels,
    tmp_path_factory: pytest.TempPathFactory,
) -> Subject:
    return Subject(request.param, traced, tmp_path_factory.mktemp(request.param))


def test_verdicts_are_what_they_are_called(subject: Subject) -> None:
    """Each module is judged against itself, those above, those beside, and several at once."""
    tree: ModuleTree = subject.tree
    paths = [module.path for module in tree if module.alias_of is None]
    assert len(paths) > 1
    for true in paths:
        assert judge({true}, true, (), tree) is Verdict.EXACT
        assert judge({true}, None, (), tree) is Verdict.UNRESOLVED
    pairs = list(permutations(paths, 2))
    for true, tagged in pairs:
        above = not tagged or true.startswith(f"{tagged}.")
        plain = Verdict.ANCESTOR if above else Verdict.WRONG
        assert judge({true}, tagged, (), tree) is plain
        several = {true, tagged}
        common = tree.common_ancestor(several)
        assert judge(several, tagged, (), tree) is Verdict.EXACT
        assert judge(several, common, several, tree) is Verdict.EXACT
        if common not in several:
            assert judge({true}, common, several, tree) is Verdict.IN_COVERS
            assert judge(several, common, (), tree) is Verdict.ANCESTOR
            assert judge({true}, tagged, several, tree) is Verdict.WRONG
    assert any(tree.common_ancestor(pair) not in pair for pair in pairs)


def test_aliases_count_as_what_they_stand_for(traced: TracedModels, tmp_path: Path) -> None:
    """A module that is reached by another of its paths is the same one."""
    tree = Subject("shared_module", traced, tmp_path).tree
    aliases = [module for module in tree if module.alias_of is not None]
    assert aliases
    for module in aliases:
        assert judge({module.path}, module.alias_of, (), tree) is Verdict.EXACT


def names_of(model: onnx.ModelProto) -> set[str]:
    names = set()
    for located in walk_graphs(model):
        graph = located.graph
        assert isinstance(graph, onnx.GraphProto)
        for node in graph.node:
            names |= {node.name, *node.input, *node.output}
        values = chain(graph.input, graph.output, graph.initializer, graph.value_info)
        names |= {value.name for value in values}
    return names - {""}


def by_order(path: Path, subject: Subject) -> dict[str, np.ndarray]:
    names = [value.name for value in onnx.load(path).graph.input]
    return dict(zip(names, subject.feeds.values(), strict=True))


def outputs(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    observed = observe(path, feeds)
    values = {
        name: value
        for (graph, position), runs in observed.executions.items()
        if not graph
        for name, value in zip(
            observed.model.graph.node[position].output, runs[0].outputs, strict=True
        )
    }
    return [values[value.name] for value in observed.model.graph.output]


@pytest.mark.parametrize("name", ["conv_batchnorm", "conditional", "scripted_loop"])
def test_scrambling_and_reordering_keep_all_but_names_and_order(
    traced: TracedModels, name: str, tmp_path: Path
) -> None:
    """No name is left, the outputs are the same, and the truth is where it is carried to."""
    subject = Subject(name, traced, tmp_path)
    reordered = subject.after(REORDERED)
    scrambled = subject.after(SCRAMBLED, reordered)
    plain, last = onnx.load(subject.path), onnx.load(scrambled)
    assert not names_of(plain) & names_of(last)
    assert sorted(n.op_type for _, n in walk_nodes(plain)) == sorted(
        n.op_type for _, n in walk_nodes(last)
    )
    before = outputs(subject.path, subject.feeds)
    after = outputs(scrambled, by_order(scrambled, subject))
    assert len(before) == len(after) > 0
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    moved = carrying.by_names(plain, subject.truth, onnx.load(reordered))
    true = truth(subject.model, subject.inputs, scrambled)
    carried = carrying.by_position(moved, last)
    # casts are set aside when truth is carried by names
    assert carried.modules == {
        key: modules
        for key, modules in true.modules.items()
        if true.op_types[key] not in carrying.RESCALING
    }
    assert carried.modules


def test_folding_is_undone_by_inlining(subject: Subject) -> None:
    """Made-up functions hold the nodes, and computing through them changes nothing."""
    model = folded(onnx.load(subject.path))
    assert {node.op_type for node in model.graph.node} == {f.name for f in model.functions}
    onnx.checker.check_model(model, full_check=True)
    inlined = onnx.inliner.inline_local_functions(model)
    assert [n.op_type for n in inlined.graph.node] == [
        n.op_type for n in onnx.load(subject.path).graph.node
    ]


@pytest.mark.parametrize("step", LOSSY, ids=lambda step: step.name)
def test_truth_carried_over_a_loss_fits_the_values(subject: Subject, step: Step) -> None:
    """What a node of a lossy file computes goes with a value made in its true modules."""
    before = subject.path
    known: Truth = subject.truth
    if step in {QDQ, QOPERATOR}:
        before = subject.after(PREPARED)
        known = truth(subject.model, subject.inputs, before)
    after = subject.after(step, before)
    carried = carrying.by_names(onnx.load(before), known, onnx.load(after))
    old, new = observe(before, subject.feeds), observe(after, subject.feeds)
    assert carried.modules
    for key, modules in carried.modules.items():
        (run,) = new.executions[key]
        rivals = [
            old.executions[k][0].outputs[0]
            for k, true in known.modules.items()
            if true <= modules and old.executions[k][0].outputs[0].shape == run.outputs[0].shape
        ]
        # a product before its bias is added goes less well with the sum than the sum itself
        assert max(alike(run.outputs[0], rival) for rival in rivals) > 0.7, (key, modules)
    answered = set(carried.modules.values())
    lost = {m for m in known.modules.values() if not any(m <= a for a in answered)}
    assert not lost


def alike(left: np.ndarray, right: np.ndarray) -> float:
    """The correlation of two tensors: blind to scale and zero point."""
    pair = np.stack([left.astype(np.float64).ravel(), right.astype(np.float64).ravel()])
    return float(np.corrcoef(pair)[0, 1])


def test_the_table_names_every_model_and_transformation_once() -> None:
    """Some models are held out, and each kind of file is there with and without its names."""
    assert any(entry.held_out for entry in ENTRIES.values())
    for kind in {row.kind for row in TRANSFORMATIONS.values()}:
        rows = [row for row in TRANSFORMATIONS.values() if row.kind == kind]
        assert {row.scrambled for row in rows} == {True, False}


def agreement(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the benchmark on the smallest model."""
    script = [sys.executable, "benchmarks/agreement.py", "--models", "no_parameters"]
    return subprocess.run(
        [*script, "--jobs", "1", *map(str, options)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_writes_its_table(tmp_path: Path) -> None:
    """One model, own and foreign files: every verdict is counted, every cell has a status."""
    rows = "plain;plain, scrambled;opset 21;another width"
    cells_path = tmp_path / "cells.json"
    result = agreement("--transforms", rows, "--out", tmp_path, "--cells", cells_path)
    assert result.returncode == 0, result.stderr
    cells = json.loads(cells_path.read_text())
    assert [cell["transform"] for cell in cells] == rows.split(";")
    assert cells[-1]["status"] == "not possible"
    assert cells[-1]["said"]
    verdicts = ("exact", "in_covers", "ancestor", "unresolved", "wrong")
    plain, *others = cells[:-1]
    for cell in (plain, *others):
        assert sum(cell[verdict] for verdict in verdicts) == cell["known"] > 0
    assert plain["exact"] == plain["known"]
    text = (tmp_path / "agreement.md").read_text()
    assert all(f"| {name} |" in text for name in rows.split(";"))
    assert str(Path.home()) not in text + result.stdout
    # the same cells as a baseline: nothing changed; with one verdict changed: it is named
    assert (
        report_changes(msgspec.json.decode(cells_path.read_bytes(), type=list[Cell]), cells_path)
        == 0
    )
    plain["wrong"] += 1
    cells_path.write_text(json.dumps(cells))
    options = ("--transforms", "plain", "--cells", tmp_path / "again.json")
    changed = agreement(*options, "--baseline", cells_path)
    assert changed.returncode == 1
    assert "no_parameters, plain:" in changed.stdout
    assert "1 of 1 cells" in changed.stdout
