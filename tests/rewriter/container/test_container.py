"""The container changes what it was asked to and keeps every other byte."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.rewriter import strip
from modelexport.rewriter.container import Edits, OnnxContainer
from modelexport.support.protobuf_wire import encode_field, encode_varint
from tests.helpers.backend_suite import whole_backend_suite
from tests.helpers.traced import TracedModels, every_case

Entries = list[tuple[str, str]]

NO_NUMBERS = {"UNDEFINED", "STRING"}
"""Types of tensors that hold none."""


def edit(source: Path, target: Path, *, force: bool = False) -> dict[NodeKey, Entries]:
    """Tag every node of a file, and the model."""
    with OnnxContainer.open(source) as container:
        nodes = {
            key: [(keys.TAG, f"/{key.graph}/{key.position}"), (keys.NAMESPACE, "n")]
            for key, _ in walk_nodes(container.skeleton())
        }
        container.write(target, Edits(nodes, [(keys.MODULES, "{}")]), force=force)
    return nodes


def expected(source: Path, nodes: dict[NodeKey, Entries]) -> onnx.ModelProto:
    """What protobuf makes of a file plus the entries."""
    model = onnx.load(source, load_external_data=False)
    for key, node in walk_nodes(model):
        for name, value in nodes[key]:
            node.metadata_props.add(key=name, value=value)
    model.metadata_props.add(key=keys.MODULES, value="{}")
    return model


def small_model(weight_bytes: int = 40_000) -> onnx.ModelProto:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 18]> g (float[2, N] x) => (float[2, M] y)'
        "{ a = MatMul(x, w) y = Relu(a) }"
    )
    side = int((weight_bytes // 4) ** 0.5)
    weight = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


@pytest.mark.parametrize("shape", [(3, 5), (37, 160)])
@pytest.mark.parametrize("kind", sorted(set(onnx.TensorProto.DataType.keys()) - NO_NUMBERS))
def test_weights_of_every_type_are_read_where_they_are(
    kind: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    """Small or large, in the file or beside it, several in a byte: as onnx itself reads them."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(kind))
    numbers = np.random.default_rng(4).integers(0, 2, shape).astype(dtype)
    model = small_model(16)
    model.graph.initializer.append(numpy_helper.from_array(numbers, "typed"))
    truth = np.asarray(numpy_helper.to_array(model.graph.initializer[-1]), complex)
    onnx.save(model, tmp_path / "in.onnx")
    onnx.save(model, tmp_path / "out.onnx", save_as_external_data=True, size_threshold=0)
    for name in ("in.onnx", "out.onnx"):
        with OnnxContainer.open(tmp_path / name) as container:
            read = np.array(container.array(container.skeleton().graph.initializer[-1]), complex)
        assert np.array_equal(read, truth, equal_nan=True)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # onnx's own data
def test_backend_suite_comes_back_byte_for_byte(session_folder: Path, tmp_path: Path) -> None:
    """strip(annotate(x)) is x, and nothing but the entries is new, on onnx's whole suite."""
    models = whole_backend_suite(session_folder)
    assert models
    for source in models:
        nodes = edit(source, tmp_path / "a.onnx", force=True)
        assert onnx.load(tmp_path / "a.onnx", load_external_data=False) == expected(source, nodes)
        strip(tmp_path / "a.onnx", tmp_path / "s.onnx", force=True)
        assert (tmp_path / "s.onnx").read_bytes() == source.read_bytes(), source


def test_skeleton_refers_to_the_weights(tmp_path: Path) -> None:
    """Big tensors are references into the file itself, at the place where their bytes stand."""
    source = tmp_path / "m.onnx"
    model = small_model()
    source.write_bytes(model.SerializeToString())
    with OnnxContainer.open(source) as container:
        skeleton = container.skeleton()
        assert skeleton.ByteSize() < len(model.graph.initializer[0].raw_data) / 10
        reference = {e.key: e.value for e in skeleton.graph.initializer[0].external_data}
        assert container.external_files() == []
    start, length = int(reference["offset"]), int(reference["length"])
    assert reference["location"] == source.name
    assert source.read_bytes()[start : start + length] == model.graph.initializer[0].raw_data


def with_empty_values_first(model: onnx.ModelProto) -> bytes:
    """A file in which an initializer has its values twice: none, and then all of them."""
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    (tensor,) = rest.graph.initializer
    values, tensor.raw_data = tensor.raw_data, b""
    written = tensor.SerializeToString() + encode_field(
        onnx.TensorProto.RAW_DATA_FIELD_NUMBER, values
    )
    del rest.graph.initializer[:]
    graph = rest.graph.SerializeToString() + encode_field(
        onnx.GraphProto.INITIALIZER_FIELD_NUMBER, written
    )
    rest.ClearField("graph")
    return rest.SerializeToString() + encode_field(onnx.ModelProto.GRAPH_FIELD_NUMBER, graph)


def test_empty_values_before_the_values(tmp_path: Path) -> None:
    """The last ones count, and stay in the file like others; all bytes come back."""
    source, target = tmp_path / "m.onnx", tmp_path / "a.onnx"
    model = small_model()
    source.write_bytes(with_empty_values_first(model))
    assert onnx.load(source) == model
    with OnnxContainer.open(source) as container:
        (tensor,) = container.skeleton().graph.initializer
        assert container.payload(tensor) == model.graph.initializer[0].raw_data
        assert not tensor.HasField("raw_data")
    nodes = edit(source, target)
    assert onnx.load(target) == expected(source, nodes)
    strip(target, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").read_bytes() == source.read_bytes()


@every_case
def test_weights_of_a_traced_file_stay_in_it(
    traced: TracedModels, name: str, exporter: str
) -> None:
    """The skeleton of what trace wrote holds small tensors only, whichever exporter made it."""
    path = traced(name, exporter).onnx_path
    whole = {tensor.name: tensor.raw_data for tensor in onnx.load(path).graph.initializer}
    with OnnxContainer.open(path) as container:
        weights = container.skeleton().graph.initializer
        left = {t.name: values for t in weights if (values := container.payload(t)) is not None}
    assert left == {name: raw for name, raw in whole.items() if len(raw) >= MIN_WEIGHT_BYTES}


def test_annotated_file_runs_like_the_plain_one(tmp_path: Path) -> None:
    """Onnxruntime gives the same bits."""
    source, target = tmp_path / "m.onnx", tmp_path / "a.onnx"
    source.write_bytes(small_model().SerializeToString())
    edit(source, target)
    feed = {"x": np.random.default_rng(1).standard_normal((2, 100)).astype(np.float32)}
    plain, annotated = (ort.InferenceSession(str(p)).run(None, feed) for p in (source, target))
    assert plain[0].tobytes() == annotated[0].tobytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_odd_encodings_come_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Padded lengths, unknown fields, fields in any order and split graphs survive."""
    model = small_model(400)
    nodes = []
    for node in model.graph.node:
        unknown = encode_field(data.draw(st.integers(100, 500)), data.draw(st.binary(max_size=9)))
        node.metadata_props.add(key="theirs", value="kept")
        raw = (
            unknown + node.SerializeToString()
            if data.draw(st.booleans())
            else (node.SerializeToString() + unknown)
        )
        width = data.draw(st.sampled_from([0, 3, 5]))
        nodes.append(b"\x0a" + encode_varint(len(raw), width) + raw)
    rest = onnx.GraphProto()
    rest.CopyFrom(model.graph)
    del rest.node[:]
    body = b"".join(data.draw(st.permutations([rest.SerializeToString(), b"".join(nodes)])))
    graph = b"\x3a" + encode_varint(len(body), data.draw(st.sampled_from([0, 4, 5]))) + body
    model.ClearField("graph")
    parts = data.draw(st.permutations([model.SerializeToString(), graph]))
    folder = tmp_path_factory.mktemp("odd")
    source = folder / "m.onnx"
    source.write_bytes(b"".join(parts))
    tagged = edit(source, folder / "a.onnx")
    assert onnx.load(folder / "a.onnx") == expected(source, tagged)
    strip(folder / "a.onnx", folder / "s.onnx")
    assert (folder / "s.onnx").read_bytes() == source.read_bytes()


@settings(max_examples=80, deadline=None)
@given(share=st.floats(0, 0.999))
def test_truncated_files_are_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    """A file cut anywhere before its last field is refused by name."""
    folder = tmp_path_factory.mktemp("cut")
    whole = small_model(4_000).SerializeToString()
    source = folder / "m.onnx"
    last = onnx.ModelProto(opset_import=small_model(4).opset_import)
    graph_end = len(whole) - last.ByteSize()
    source.write_bytes(whole[: int(share * graph_end)])
    with pytest.raises(OnnxFileError, match=r"m\.onnx"), OnnxContainer.open(source):
        pass


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n", b"\x00" * 64, b"{}"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """What is no model is refused by name."""
    source = tmp_path / "m.onnx"
    source.write_bytes(content)
    with pytest.raises(OnnxFileError, match=r"m\.onnx"), OnnxContainer.open(source):
        pass


def external_model(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    model = small_model()
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="m.data")
    return folder / "m.onnx"


def test_external_data_is_shared_in_the_same_folder(tmp_path: Path) -> None:
    """An output beside the input refers to the same data, which nobody touches."""
    source = external_model(tmp_path / "in")
    before = {p.name: p.stat().st_mtime_ns for p in source.parent.iterdir()}
    edit(source, source.with_name("a.onnx"))
    after = {p.name: p.stat().st_mtime_ns for p in source.parent.iterdir()}
    assert {name: time for name, time in after.items() if name != "a.onnx"} == before


def test_external_data_is_copied_elsewhere(tmp_path: Path) -> None:
    """An output in another folder gets the data beside it."""
    source = external_model(tmp_path / "in")
    (tmp_path / "out").mkdir()
    edit(source, tmp_path / "out" / "a.onnx")
    copy = tmp_path / "out" / "m.data"
    assert copy.read_bytes() == (source.parent / "m.data").read_bytes()
    onnx.load(tmp_path / "out" / "a.onnx")


@pytest.mark.parametrize("location", ["../m.data", "/etc/passwd", "a/../../m.data"])
def test_external_data_outside_is_refused(tmp_path: Path, location: str) -> None:
    """Locations that leave the model's folder are refused."""
    source = external_model(tmp_path / "in")
    model = onnx.load(source, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    source.write_bytes(model.SerializeToString())
    with OnnxContainer.open(source) as container, pytest.raises(OnnxFileError, match="folder"):
        container.write(tmp_path / "a.onnx", Edits())
    assert not (tmp_path / "a.onnx").exists()


def test_outputs_are_not_overwritten_unasked(tmp_path: Path) -> None:
    """An existing output needs force; an output that is the input is refused with it, too."""
    source, target = tmp_path / "m.onnx", tmp_path / "a.onnx"
    source.write_bytes(small_model().SerializeToString())
    target.write_text("mine")
    with pytest.raises(FileProblem, match="--force"):
        edit(source, target)
    assert target.read_text() == "mine"
    os.link(source, tmp_path / "same.onnx")
    for same in (source, tmp_path / "same.onnx"):
        with pytest.raises(FileProblem, match="also an input"):
            edit(source, same, force=True)


def test_permission_bits_are_the_inputs(tmp_path: Path) -> None:
    """The copy has the permissions of the file that it is a copy of."""
    source, target = tmp_path / "m.onnx", tmp_path / "a.onnx"
    source.write_bytes(small_model().SerializeToString())
    source.chmod(0o640)
    edit(source, target)
    assert target.stat().st_mode == source.stat().st_mode


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """When the file cannot grow, one sentence says so and nothing is left behind."""
    source, target = tmp_path / "m.onnx", tmp_path / "a.onnx"
    source.write_bytes(small_model(400_000).SerializeToString())
    limit = source.stat().st_size // 2

    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "modelexport", "strip", str(source), "-o", str(target)],
        preexec_fn=shrink,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert target.name in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [source.name]
