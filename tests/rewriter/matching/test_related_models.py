"""Files of related models: tags by the record of the base are right, around it, or missing."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest

from fixtures_gen.related_zoo import CHANGES, Relative, base, relative
from fixtures_gen.truth import truth
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.graph_paths import NodeKey
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


class RelatedFiles(NamedTuple):
    """A relative of the base and the files made of it.

    Attributes:
        related: The relative.
        files: The traced file, and the same without names.
        modules: The true modules of the nodes.
    """

    related: Relative
    files: tuple[Path, Path]
    modules: dict[NodeKey, frozenset[str]]


@pytest.fixture(scope="module")
def related_files(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Exporter], RelatedFiles]:
    """The files of each relative, by each exporter; made once."""

    @cache
    def files(change: str, exporter: Exporter) -> RelatedFiles:
        folder, related = tmp_path_factory.mktemp("related"), relative(change)
        path, nameless = folder / "named.onnx", folder / "nameless.onnx"
        trace(related.model, related.inputs, path, exporter=exporter)
        without_names(path, nameless)
        modules = truth(related.model, related.inputs, path).modules
        return RelatedFiles(related, (path, nameless), modules)

    return files


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
    related_files: Callable[[str, Exporter], RelatedFiles],
    tmp_path: Path,
) -> None:
    """What the base has gets its module; what it has not is around it or nowhere."""
    related, files, true = related_files(change, exporter)
    assert len(files) == 2
    for file in files:
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
