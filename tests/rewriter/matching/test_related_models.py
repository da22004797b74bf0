"""Files of related models: tags by the record of the base are right, around it, or missing."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest

from fixtures_gen.related_zoo import CHANGES, base, relative
from fixtures_gen.truth import truth
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.record import Record
from modelexport.rewriter import annotate
from modelexport.tracer import trace

EXPORTERS = (Exporter.DYNAMO, Exporter.TORCHSCRIPT)


@pytest.fixture(scope="module", params=EXPORTERS)
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of the base model, of each exporter."""
    model, inputs = base()
    path = tmp_path_factory.mktemp("base") / "base.onnx"
    return trace(model, inputs, path, exporter=request.param).record


@pytest.fixture(scope="module")
def related_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Exporter], Path]:
    """The file of each relative, by each exporter; traced once."""
    folder = tmp_path_factory.mktemp("related")

    @cache
    def file(change: str, exporter: Exporter) -> Path:
        related = relative(change)
        path = folder / f"{len(list(folder.iterdir()))}.onnx"
        trace(related.model, related.inputs, path, exporter=exporter)
        return path

    return file


def without_names(source: Path, target: Path) -> None:
    """Rename all nodes and inner values of a file."""
    model = onnx.load(source)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = {"": ""} | {name: name for name in kept}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
        for values in (node.input, node.output):
            values[:] = [names.setdefault(value, f"v{len(names)}") for value in values]
    for tensor in model.graph.initializer:
        tensor.name = names.setdefault(tensor.name, f"v{len(names)}")
    del model.graph.value_info[:]
    onnx.save(model, target)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("change", CHANGES)
def test_no_node_gets_another_module(
    change: str,
    exporter: Exporter,
    record: Record,
    related_files: Callable[[str, Exporter], Path],
    tmp_path: Path,
) -> None:
    """What the base has gets its module; what it has not is around it or nowhere."""
    related = relative(change)
    path = related_files(change, exporter)
    without_names(path, tmp_path / "nameless.onnx")
    true = truth(related.model, related.inputs, path).modules
    for file in (path, tmp_path / "nameless.onnx"):
        report = annotate(file, record, tmp_path / "out.onnx", force=True)
        decided = [d for d in report.decisions if d.key in true and d.module is not None]
        wrong = [
            (decision.name, decision.module, true[decision.key])
            for decision in decided
            if not any(is_within(related.origins[p], decision.module) for p in true[decision.key])
        ]
        assert wrong == []
        shared = [key for key, paths in true.items() if paths.isdisjoint(related.own)]
        exact = [d for d in decided if d.module in {related.origins[path] for path in true[d.key]}]
        assert len(exact) > 0.85 * len(shared)
