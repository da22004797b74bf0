"""Stripping gives back the very bytes, wherever nodes are and whatever others wrote."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, NodeProto, numpy_helper, parser

from modelexport.errors import OnnxFileError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, walk_nodes
from modelexport.rewriter import strip
from modelexport.rewriter.container import Edits, OnnxContainer, session_source
from modelexport.support.protobuf_wire import encode_field, encode_varint
from tests.helpers.subgraphs import (
    HEADER,
    SIDE,
    random_weight,
    save_model,
    subgraph_of,
    with_subgraphs,
)


def annotate_and_strip(source: Path) -> ModelProto:
    """Tag every node, compare with protobuf's own idea of that, strip; gives the tagged model."""
    target, back, again = (source.with_name(f"{name}.onnx") for name in ("a", "b", "c"))
    with OnnxContainer.open(source) as container:
        nodes = [key for key, _ in walk_nodes(container.skeleton())]
        edits = Edits(
            {k: [(keys.TAG, f"/{k.graph}/{k.position}"), ("namespace", "ü")] for k in nodes},
            [(keys.MODULES, "{}")],
        )
        container.write(target, edits)
    expected = onnx.load(source)
    for key, node in walk_nodes(expected):
        for name, value in edits.nodes[key]:
            node.metadata_props.add(key=name, value=value)
    expected.metadata_props.add(key=keys.MODULES, value="{}")
    assert expected == onnx.load(target)
    result = strip(target, back)
    assert len(nodes) == result.nodes
    assert {keys.TAG: len(nodes), "namespace": len(nodes)} == result.keys
    assert result.model_keys == {keys.MODULES: 1}
    assert source.read_bytes() == back.read_bytes()
    with OnnxContainer.open(target) as container:
        container.write(again, edits)
    assert target.read_bytes() == again.read_bytes()
    return expected


def test_subgraphs_and_functions(tmp_path: Path) -> None:
    """Nodes of Loop, If and Scan subgraphs and of functions are reached, and restored."""
    model = annotate_and_strip(save_model(tmp_path, with_subgraphs()))
    places = {key.graph for key, _ in walk_nodes(model)}
    assert any(place.startswith("@") and "/" in place for place in places)
    assert any(place.count("/") == 2 for place in places)


def test_graphs_in_several_parts(tmp_path: Path) -> None:
    """What protobuf merges is numbered as merged: the graph, and the subgraph of an attribute."""
    model = with_subgraphs()
    graph, inner = (model.graph.SerializeToString() for _ in range(2))
    loop = model.graph.node[1]
    parts = [n.SerializeToString() for n in subgraph_of(loop, "body").node]
    bare = onnx.AttributeProto(name="body", type=onnx.AttributeProto.GRAPH).SerializeToString()
    merged = b"".join(encode_field(6, encode_field(1, part)) for part in reversed(parts)) + bare
    del loop.attribute[:]
    split = loop.SerializeToString() + encode_field(5, merged) + encode_field(77, b"unknown")
    model.ClearField("graph")
    source = tmp_path / "m.onnx"
    source.write_bytes(
        encode_field(7, encode_field(1, split))
        + model.SerializeToString()
        + encode_field(7, graph)
        + b"\xd3\x26\x08\x01\xd4\x26"  # an unknown group
        + encode_field(7, inner)
    )
    annotate_and_strip(source)


def test_metadata_of_others_stays(tmp_path: Path) -> None:
    """Foreign entries stay before, between and behind ours, and under a shared key before it."""
    model = with_subgraphs()
    for _, node in walk_nodes(model):
        node.metadata_props.add(key="namespace", value="theirs")
        node.metadata_props.add(key="pkg.torch.onnx.fx_node", value="%x")
        node.doc_string = "kept"
    model.metadata_props.add(key="author", value="somebody")
    annotate_and_strip(save_model(tmp_path, model))


def test_metadata_in_the_middle_of_a_node(tmp_path: Path) -> None:
    """Entries are found and kept wherever they stand among a node's fields."""
    node = NodeProto(op_type="Relu", input=["x"], output=["y"])
    entry = onnx.StringStringEntryProto(key="namespace", value="theirs").SerializeToString()
    raw = encode_field(9, entry) + node.SerializeToString() + encode_field(6, b"doc")
    model = parser.parse_model(HEADER + "g (float[2] x) => (float[2] y) {}")
    model.graph.node.extend([NodeProto(), node])
    raw_graph = encode_field(1, raw) + encode_field(1, node.SerializeToString())
    del model.graph.node[:]
    source = tmp_path / "m.onnx"
    source.write_bytes(model.SerializeToString() + encode_field(7, raw_graph))
    annotate_and_strip(source)


@pytest.mark.parametrize("replace", [True, frozenset({"namespace"})])
def test_replacing_keys_of_others(tmp_path: Path, replace: bool | frozenset[str]) -> None:
    """On edited nodes a foreign entry gives way to the new one; nowhere else."""
    model = with_subgraphs()
    for _, node in walk_nodes(model):
        node.metadata_props.add(key="namespace", value="theirs")
        node.metadata_props.add(key="other", value="kept")
    source, target = save_model(tmp_path, model), tmp_path / "a.onnx"
    new = [(keys.TAG, "/M"), ("namespace", "ours")]
    edited = NodeKey(MAIN, 1)
    with OnnxContainer.open(source) as container:
        container.write(target, Edits({edited: new}, replace=replace))
    nodes = list(walk_nodes(onnx.load(target)))
    assert edited in dict(nodes)
    for key, node in nodes:
        entries = [(e.key, e.value) for e in node.metadata_props]
        theirs = [("namespace", "theirs"), ("other", "kept")]
        assert entries == ([("other", "kept"), *new] if key == edited else theirs)


def test_an_edit_of_no_node_is_an_error(tmp_path: Path) -> None:
    """An address that is not in the file is never dropped silently."""
    source = save_model(tmp_path, with_subgraphs())
    edits = Edits({NodeKey("nowhere", 0): [(keys.TAG, "/M")]})
    with OnnxContainer.open(source) as container, pytest.raises(ValueError, match="not in"):
        container.write(tmp_path / "a.onnx", edits)
    assert not (tmp_path / "a.onnx").exists()


def test_a_padded_length_without_room_is_refused(tmp_path: Path) -> None:
    """A prefix whose padding would be used up could not be restored, so nothing is written."""
    node = NodeProto(op_type="Relu", input=["x"], output=["y"]).SerializeToString()
    graph = b"\x0a" + encode_varint(len(node), 2) + node
    model = parser.parse_model(HEADER + "g (float[2] x) => (float[2] y) {}")
    source = tmp_path / "m.onnx"
    source.write_bytes(model.SerializeToString() + encode_field(7, graph))
    edits = Edits({NodeKey(MAIN, 0): [(keys.TAG, "/" + "x" * 200)]})
    with OnnxContainer.open(source) as container, pytest.raises(OnnxFileError, match="padded"):
        container.write(tmp_path / "a.onnx", edits)
    assert not (tmp_path / "a.onnx").exists()


def test_stripping_a_plain_file_copies_it(tmp_path: Path) -> None:
    """There is nothing of ours in it, and all of it is there."""
    source = save_model(tmp_path, with_subgraphs())
    assert strip(source, tmp_path / "b.onnx").nodes == 0
    assert source.read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_skeleton_runs_from_the_weights_in_the_file(tmp_path: Path) -> None:
    """Onnxruntime gives the same bits from a skeleton, big tensors in subgraphs included."""
    source = save_model(tmp_path, with_subgraphs())
    with OnnxContainer.open(source) as container:
        skeleton = container.skeleton()
        before = skeleton.SerializeToString()
        model, folder, _ = session_source(container, skeleton)
        assert before == skeleton.SerializeToString()
    assert len(before) < source.stat().st_size / 4
    assert len(model) < source.stat().st_size * 0.7
    options = ort.SessionOptions()
    option = "session.model_external_initializers_file_folder_path"
    options.add_session_config_entry(option, str(folder))
    feeds = {"x": random_weight("x", (2, SIDE), 9), "c": numpy_helper.from_array(np.array(True))}
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in feeds.items()}
    expected = ort.InferenceSession(str(source)).run(None, arrays)
    actual = ort.InferenceSession(model, options).run(None, arrays)
    assert [a.tobytes() for a in expected] == [a.tobytes() for a in actual]
