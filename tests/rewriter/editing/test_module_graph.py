"""A graph of graphsurgeon in which nodes are asked for by module, edited and saved."""

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import pytest
from onnx import numpy_helper

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter import annotate, open_graph
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.extraction.module_parts import module_part
from modelexport.rewriter.selection.module_calls import ModuleCall
from tests.helpers.handmade import TWO_LAYERS_MODULES, record_of, two_layers
from tests.helpers.subgraphs import save_model, with_subgraphs
from tests.helpers.traced import TracedModels

MODULES = [path for path in TWO_LAYERS_MODULES if path]


def _tags(model: onnx.ModelProto) -> dict[str, str]:
    return {
        node.name: entry.value
        for _, node in walk_nodes(model)
        for entry in node.metadata_props
        if entry.key == keys.TAG
    }


@pytest.mark.parametrize("module", MODULES)
def test_nodes_inputs_and_outputs_are_those_of_the_module(annotated: Path, module: str) -> None:
    """The nodes with its tags, and the boundary that cutting it out finds."""
    with open_graph(annotated) as graph, PlacedFile.open(annotated) as file:
        names = [file.graph.nodes[number].name for number in file.nodes_of(module)]
        part, _ = module_part(file, MainGraph(file), [ModuleCall(module)], file.nodes_of(module))
        assert [node.name for node in graph.nodes(module)] == names
        outputs = {tensor.name for tensor in graph.outputs(module)}
        assert outputs == set(part.outputs)
        assert {tensor.name for tensor in graph.inputs(module)} >= set(part.inputs)
        assert {graph.module_of(node) for node in graph.nodes(module)} == {
            file.modules[number] for number in file.nodes_of(module)
        }


def test_an_unedited_file_is_saved_as_it_was(annotated: Path, tmp_path: Path) -> None:
    """Field by field."""
    with open_graph(annotated) as graph:
        assert graph.modules == list(TWO_LAYERS_MODULES)
        graph.save(tmp_path / "same.onnx")
    assert onnx.load(tmp_path / "same.onnx") == onnx.load(annotated)


def test_a_traced_transformer_is_saved_as_it_was(traced: TracedModels, tmp_path: Path) -> None:
    """With all its metadata."""
    done = traced("bert", "dynamo")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    with open_graph(tmp_path / "a.onnx") as graph:
        graph.save(tmp_path / "same.onnx")
    assert onnx.load(tmp_path / "same.onnx") == onnx.load(tmp_path / "a.onnx")


def test_a_file_without_tags_is_saved_with_them(plain: Path, annotated: Path) -> None:
    """What was matched is not lost."""
    with open_graph(plain, inherit_from=annotated) as graph:
        graph.save(plain.with_name("edited.onnx"))
    assert _tags(onnx.load(plain.with_name("edited.onnx"))) == _tags(onnx.load(annotated))


def test_a_new_node_is_placed(annotated: Path, tmp_path: Path) -> None:
    """It gets the tag; the file runs, and all other nodes are as they were."""
    with open_graph(annotated) as graph:
        (output,) = graph.outputs("layer.0")
        scaled = gs.Variable("scaled", output.dtype, output.shape)
        readers = list(output.outputs)
        weight = gs.Constant("two", np.full((1,), 2, np.float32))
        new = gs.Node("Mul", "double", inputs=[output, weight], outputs=[scaled])
        for reader in readers:
            reader.inputs[reader.inputs.index(output)] = scaled
        graph.graph.nodes.insert(graph.graph.nodes.index(readers[0]), new)
        assert graph.module_of(new) is None
        graph.place(new, "layer.0")
        assert new in graph.nodes("layer.0")
        assert new not in graph.nodes("layer.1")
        assert graph.outputs("layer.0") == [scaled]
        graph.save(tmp_path / "edited.onnx")
    edited = onnx.load(tmp_path / "edited.onnx")
    with PlacedFile.open(annotated) as file:
        expected = _tags(onnx.load(annotated)) | {"double": file.tagger.tag("layer.0")}
    assert _tags(edited) == expected
    onnxruntime.InferenceSession(edited.SerializeToString(), providers=["CPUExecutionProvider"])


def test_a_module_becomes_one_node(annotated: Path, tmp_path: Path) -> None:
    """Its weights go, the boundary stays, and the model is still in order."""
    with open_graph(annotated) as graph:
        inputs, outputs = graph.inputs("layer.1"), graph.outputs("layer.1")
        outer = [node.name for node in graph.graph.nodes if node not in graph.nodes("layer.1")]
        new = graph.replace("layer.1", "Fused", domain="my.plugins", attrs={"size": 3})
        assert (new.inputs, new.outputs) == (inputs, outputs)
        assert graph.module_of(new) == "layer.1"
        assert graph.nodes("layer.1") == [new]
        graph.save(tmp_path / "plugin.onnx")
    model = onnx.load(tmp_path / "plugin.onnx")
    onnx.checker.check_model(model)
    assert [node.name for node in model.graph.node if node.name != new.name] == outer
    assert not [w.name for w in model.graph.initializer if w.name.startswith("layer.1")]
    assert "my.plugins" in {entry.domain for entry in model.opset_import}
    with PlacedFile.open(annotated) as file:
        assert _tags(model)[new.name] == file.tagger.tag("layer.1")


def test_nodes_that_others_stand_between_cannot_become_one(plain: Path, tmp_path: Path) -> None:
    """The error names those; the graph stays as it was."""
    model = two_layers()
    scopes = ["a", "a", "a", "b", "a", "a", "a", "a", "a", "a"]
    record = record_of(model, {"": "Net", "a": "A", "b": "B"}, scopes)
    annotate(plain, record, tmp_path / "ab.onnx")
    with open_graph(tmp_path / "ab.onnx") as graph:
        with pytest.raises(UsageError, match=r"nodes outside of it: relu0 \(Relu\)\."):
            graph.replace("a", "Fused")
        graph.save(tmp_path / "same.onnx")
    assert onnx.load(tmp_path / "same.onnx") == onnx.load(tmp_path / "ab.onnx")


def test_weights_in_other_files_are_read_when_asked_for(annotated: Path, tmp_path: Path) -> None:
    """And stay there when they are not changed."""
    onnx.save(
        onnx.load(annotated),
        tmp_path / "e.onnx",
        save_as_external_data=True,
        location="w",
        size_threshold=0,
    )
    with open_graph(tmp_path / "e.onnx") as graph:
        weight = graph.nodes("layer.1.fc")[0].inputs[1]
        values = weight.values
        graph.save(tmp_path / "same.onnx")
    stored = {w.name: numpy_helper.to_array(w) for w in onnx.load(annotated).graph.initializer}
    assert (values == stored[weight.name]).all()
    assert onnx.load(tmp_path / "same.onnx", load_external_data=False) == onnx.load(
        tmp_path / "e.onnx", load_external_data=False
    )


def test_nodes_of_branches_are_found(tmp_path: Path) -> None:
    """A module that runs inside subgraphs is asked for in the same way."""
    model = with_subgraphs()
    path = save_model(tmp_path, model)
    places = [key for key, _ in walk_nodes(model)]
    scopes = ["in" if key.graph else "out" for key in places]
    record = record_of(model, {"": "Net", "in": "In", "out": "Out"}, scopes)
    with open_graph(path, record=record) as graph:
        actual = graph.nodes("in")
        assert len(actual) == scopes.count("in")
        assert {graph.module_of(node) for node in actual} == {"in"}
        producers = {id(node) for tensor in graph.inputs("in") for node in tensor.inputs}
        assert producers.isdisjoint(map(id, actual))
        with pytest.raises(UsageError, match="inside a branch"):
            graph.replace("in", "Fused")
        graph.save(tmp_path / "edited.onnx")
    edited = onnx.load(tmp_path / "edited.onnx")
    with PlacedFile.open(tmp_path / "edited.onnx") as file:
        assert [file.modules[n] for n in range(len(places))] == scopes
    onnx.checker.check_model(edited)


def test_what_cannot_be_done_is_told(annotated: Path) -> None:
    """Unknown modules, several modules for one node, and the opened file as the target."""
    with open_graph(annotated) as graph:
        node = graph.graph.nodes[0]
        with pytest.raises(UsageError, match="no module"):
            graph.nodes("nowhere")
        with pytest.raises(UsageError, match="matches 2 modules"):
            graph.place(node, "layer.?")
        with pytest.raises(FileProblem):
            graph.save(annotated, force=True)
