"""An opened file: its views are made when they are asked for, and only then."""

from functools import cached_property
from pathlib import Path

import onnx
import pytest

from modelexport.errors import FileProblem
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import annotate
from modelexport.rewriter.annotation.model_file import LoadedModel, ModelFile
from modelexport.rewriter.matching import OURS
from tests.helpers.handmade import parse, two_layers_record

VIEWS = {name for name, value in vars(LoadedModel).items() if isinstance(value, cached_property)}


def names(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node]


def test_opening_makes_no_view(annotated: Path) -> None:
    """A command pays for the views that it asks for; each is made once."""
    with ModelFile.open(annotated) as file:
        assert VIEWS
        assert not VIEWS & vars(file).keys()
        assert file.graph is file.graph
        assert VIEWS & vars(file).keys() == {"flat", "model", "graph"}
        assert file.carried is file.carried


def test_a_file_without_functions_is_not_copied(annotated: Path) -> None:
    """All views of it show the skeleton that the container read."""
    with ModelFile.open(annotated) as file:
        assert file.model is file.flat is file.skeleton is file.container.skeleton()
        assert not file.folded
        assert file.functions == []
        assert file.path == annotated
        assert file.label == str(annotated)


def test_functions_of_folding_are_looked_through(plain: Path, tmp_path: Path) -> None:
    """The model has the nodes of the functions; the skeleton stays as the file is."""
    folded = tmp_path / "folded.onnx"
    annotate(plain, two_layers_record(), folded, inject=[Inject.FUNCTIONS])
    with ModelFile.open(folded) as file:
        assert file.folded
        assert file.functions == [function.name for function in onnx.load(folded).functions]
        assert file.functions
        assert len(file.model.graph.node) == len(onnx.load(plain).graph.node)
        assert len(file.skeleton.graph.node) < len(file.model.graph.node)
        assert not file.model.functions
        assert file.carried is not None
        assert len(file.carried.claims.by_node) == len(file.graph)


@pytest.mark.parametrize("original_names", [False, True])
def test_nodes_get_their_earlier_names_where_these_are_wanted(
    plain: Path, tmp_path: Path, *, original_names: bool
) -> None:
    """Annotating compares names with the record's; everything else shows the file's own."""
    renamed = tmp_path / "renamed.onnx"
    annotate(plain, two_layers_record(), renamed, inject=[Inject.METADATA, Inject.NAMES])
    before, after = names(onnx.load(plain)), names(onnx.load(renamed))
    assert before != after
    with ModelFile.open(renamed, original_names=original_names) as file:
        assert names(file.model) == (before if original_names else after)
        assert [node.name for node in file.graph.nodes] == names(file.model)
        assert names(file.flat) == names(file.skeleton) == after


def test_what_a_file_carries(annotated: Path, tmp_path: Path) -> None:
    """Tags of ours with their module tree; or nothing."""
    with ModelFile.open(annotated) as file:
        assert file.carried is not None
        assert file.carried.scheme == OURS
        assert file.embedded is not None
        assert file.embedded.modules == two_layers_record().modules
    onnx.save(parse("g (float[2] x) => (float[2] y) { y = Relu (x) }"), tmp_path / "bare.onnx")
    with ModelFile.open(tmp_path / "bare.onnx") as file:
        assert file.carried is None
        assert file.embedded is None


def test_a_broken_module_tree_names_the_file(annotated: Path) -> None:
    """The label of a model in memory stands in its errors, as the path of a file does."""
    model = onnx.load(annotated)
    (tree,) = (entry for entry in model.metadata_props if entry.key == keys.MODULES)
    tree.value = "{"
    with pytest.raises(FileProblem, match="memory"):
        LoadedModel(model, "memory").embedded  # noqa: B018 - the access is the test
    onnx.save(model, annotated)
    with pytest.raises(FileProblem, match=annotated.name), ModelFile.open(annotated) as file:
        file.carried  # noqa: B018 - the access is the test
