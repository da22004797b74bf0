"""From an initializer to the parameter that it holds, and on to the module that owns it."""

from pathlib import Path

import msgspec
import onnx

from modelexport.hierarchy.module_tree import Module, ModuleTree, Parameter
from modelexport.rewriter import annotate
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import embedded_parameters, read_carried_hierarchy
from tests.helpers.handmade import TWO_LAYERS_MODULES, two_layers, two_layers_record


def test_initializers_named_like_parameters_map_to_their_modules() -> None:
    """A name that is a parameter's leads to the module that registers it."""
    model = two_layers()
    initializers = InitializerParameters(model, two_layers_record().tree)
    assert {w.name: initializers.owner(w.name) for w in model.graph.initializer} == {
        w.name: w.name.rpartition(".")[0] for w in model.graph.initializer
    }


def renamed() -> tuple[onnx.ModelProto, dict[str, str]]:
    """The model with transposed weights under names of an exporter's making."""
    model = two_layers()
    said = {}
    for number, weight in enumerate(model.graph.initializer):
        name = f"onnx::MatMul_{number}"
        said[name] = weight.name
        for node in model.graph.node:
            node.input[:] = [name if n == weight.name else n for n in node.input]
        weight.name = name
        weight.dims[:] = weight.dims[::-1]
    return model, said


def test_the_record_says_what_renamed_initializers_hold() -> None:
    """With the record's mapping, names of an exporter's making lead to modules as well."""
    model, said = renamed()
    tree = two_layers_record().tree
    assert not InitializerParameters(model, tree).parameters
    assert InitializerParameters(model, tree, said).parameters == said


def test_a_mapping_is_not_believed_against_the_size() -> None:
    """A name that stands for other data than recorded maps to nothing."""
    initializers = InitializerParameters(two_layers(8), two_layers_record().tree)
    assert not initializers.parameters
    assert initializers.owner("layer.0.fc.weight") is None


def test_aliases_lead_to_the_first_path() -> None:
    """A weight asked for by an alias belongs to the first path of its module."""
    weight = (Parameter("weight", (4, 4)),)
    tree = ModuleTree(
        [
            Module("", "Net"),
            Module("layer.0.fc", "Linear", parameters=weight),
            Module("layer.1.fc", "Linear", alias_of="layer.0.fc", parameters=weight),
        ]
    )
    initializers = InitializerParameters(two_layers(), tree)
    assert initializers.owner("layer.1.fc.weight") == "layer.0.fc"
    assert not initializers.absent()


def test_absent_parameters_are_those_that_no_initializer_holds() -> None:
    """A parameter whose initializer is gone is listed with its shape."""
    model = two_layers()
    gone = model.graph.initializer.pop()
    actual = InitializerParameters(model, two_layers_record().tree).absent()
    assert actual == {gone.name: tuple(gone.dims)}


def test_an_annotated_file_carries_the_mapping(tmp_path: Path) -> None:
    """What only the record knew about initializers is in the file afterwards."""
    model, said = renamed()
    record = two_layers_record()
    tensors = tuple(
        msgspec.structs.replace(t, name=n) for t, n in zip(record.tensors, said, strict=True)
    )
    onnx.save(model, tmp_path / "in.onnx")
    record = msgspec.structs.replace(record, tensors=tensors)
    annotate(tmp_path / "in.onnx", record, tmp_path / "out.onnx")
    annotated = onnx.load(tmp_path / "out.onnx")
    assert embedded_parameters(annotated, "out") == said
    carried = read_carried_hierarchy(annotated, ModelGraph(annotated), "out")
    assert carried is not None
    owners = InitializerParameters(annotated, ModuleTree(carried.modules), carried.parameters)
    assert {owners.owner(name) for name in said} == {
        path for path, kind in TWO_LAYERS_MODULES.items() if kind == "Linear"
    }
