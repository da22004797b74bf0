"""An opened file with its hierarchy: by its own tags, by a record, or by an annotated file."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from modelexport import compare, extract, profile, select_nodes, split
from modelexport.errors import ForeignRecordError, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter import annotate
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.support.progress import reporting_steps_to
from tests.helpers.handmade import (
    TWO_LAYERS_MODULES,
    layers,
    number_weights,
    record_of,
    two_layers,
    two_layers_record,
)
from tests.helpers.subgraphs import save_model, with_subgraphs


def test_an_annotated_file_needs_nothing_else(annotated: Path) -> None:
    """Each node has the module and the tag that annotating wrote."""
    report = annotate(annotated, None, None)
    with PlacedFile.open(annotated) as file:
        assert file.modules == [decision.module for decision in report.decisions]
        assert [file.tag(n) for n in range(len(file.graph))] == [d.tag for d in report.decisions]
        assert file.notes == ()


def test_a_record_places_a_plain_file(plain: Path, plain_record: Path) -> None:
    """As annotating with it would."""
    decisions = annotate(plain, plain_record, None).decisions
    with PlacedFile.open(plain, record=plain_record) as file:
        assert file.modules == [decision.module for decision in decisions]
        assert file.notes == ("plain.onnx is not annotated: it was matched with the record",)


def test_an_annotated_file_places_its_descendant(plain: Path, annotated: Path) -> None:
    """Also when all names have changed."""
    model = onnx.load(plain)
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    onnx.save(model, plain)
    with PlacedFile.open(annotated) as source, PlacedFile.open(plain, inherit_from=annotated) as f:
        assert f.modules == source.modules
        assert f.notes == ("plain.onnx is not annotated: it was matched with a.onnx",)


LIMITED: dict[str, Callable[..., object]] = {
    "select": lambda path, **options: select_nodes(path, ["layer.1"], **options),
    "extract": lambda path, **options: extract(path, "layer.1", path.parent / "e.onnx", **options),
    "split": lambda path, **options: split(path, path.parent / "parts", parts=2, **options),
    "profile": lambda path, **options: profile(path, runs=1, **options),
    "compare": lambda path, inherit_from, **options: compare(inherit_from, path, **options),
}


@pytest.mark.parametrize("use", LIMITED.values(), ids=LIMITED)
def test_matching_keeps_to_a_limit_of_memory(
    use: Callable[..., object], plain: Path, annotated: Path
) -> None:
    """A byte is less than any value takes: the file runs several times."""
    model = onnx.load(plain)
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    onnx.save(model, plain)
    steps: list[str] = []
    with reporting_steps_to(steps.append):
        use(plain, inherit_from=annotated, memory=1)
    assert any("times: its values take more than --memory" in step for step in steps)


def test_nodes_without_a_tag_are_matched(annotated: Path) -> None:
    """The tags that a file has stay."""
    model = onnx.load(annotated)
    for node in model.graph.node[2:4]:
        del node.metadata_props[:]
    model.graph.node[4].metadata_props[0].value = "/Net/layer.1"
    assert model.graph.node[4].metadata_props[0].key == keys.TAG
    part = annotated.with_name("part.onnx")
    onnx.save(model, part)
    with (
        PlacedFile.open(annotated) as whole,
        PlacedFile.open(part, record=two_layers_record()) as file,
    ):
        assert file.modules[:4] == whole.modules[:4]
        assert file.modules[4] == "layer.1" != whole.modules[4]


def test_without_a_hierarchy_the_error_says_what_to_do(tmp_path: Path) -> None:
    """No tags, no names, no record."""
    model = number_weights(two_layers())
    for node in model.graph.node:
        node.name = ""
    path = save_model(tmp_path, model)
    with (
        pytest.raises(UsageError, match="Annotate it first, or give --record RECORD or --from"),
        PlacedFile.open(path),
    ):
        pass


def test_a_record_of_another_model_is_refused(plain: Path) -> None:
    """Its modules are not those of the file."""
    _, foreign = layers("Tanh", "Sigmoid", "Softplus")
    with pytest.raises(ForeignRecordError), PlacedFile.open(plain, record=foreign):
        pass


def test_one_source_at_a_time(plain: Path, plain_record: Path, annotated: Path) -> None:
    """A record and an annotated file exclude each other."""
    sources = {"record": plain_record, "inherit_from": annotated}
    with pytest.raises(UsageError, match="exclude each other"), PlacedFile.open(plain, **sources):
        pass


def test_modules_are_found_by_path_and_tag(annotated: Path) -> None:
    """A name that is nearly right is answered with similar ones."""
    with PlacedFile.open(annotated) as file:
        paths = [module.path for module in file.tree]
        assert list(map(file.find_module, paths)) == paths
        assert list(map(file.find_module, map(file.tagger.tag, paths))) == paths
        with pytest.raises(UsageError, match=r"Similar names: .*layer\.0\.fc"):
            file.find_module("layer.0.fcc")
        with pytest.raises(UsageError, match=r"Similar names: layer\.0\.fc, layer\.1\.fc"):
            file.find_module("fc")


def test_nodes_of_a_module_are_those_inside_it(annotated: Path) -> None:
    """Of every module of the tree."""
    with PlacedFile.open(annotated) as file:
        for path in TWO_LAYERS_MODULES:
            expected = [
                number
                for number, module in enumerate(file.modules)
                if module is not None and is_within(module, path)
            ]
            assert file.nodes_of(path) == expected


def test_nodes_of_subgraphs_have_modules_too(tmp_path: Path) -> None:
    """They are listed after those of the main graph."""
    model = with_subgraphs()
    path = save_model(tmp_path, model)
    scopes = ["inner" if key.graph else "outer" for key, _ in walk_nodes(model)]
    record = record_of(model, {"": "Net", "outer": "Outer", "inner": "Inner"}, scopes)
    with PlacedFile.open(path, record=record) as file:
        inner = [n for n, key in enumerate(file.graph.keys) if key.graph]
        assert inner
        assert [file.modules[n] for n in inner] == ["inner"] * len(inner)
        assert file.nodes_of("inner") == inner
