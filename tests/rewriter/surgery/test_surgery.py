"""A round trip through graphsurgeon loses nothing, and an edit changes what it changes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import ModelProto, numpy_helper

from modelexport.errors import SurgeryError
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.surgery import Surgery
from tests.helpers.backend_suite import whole_backend_suite
from tests.helpers.generated import models
from tests.helpers.subgraphs import save_model, subgraph_of, with_subgraphs

quick = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def same(left: ModelProto, right: ModelProto) -> bool:
    """Equal field by field, in the same order, unknown fields and all."""
    one, other = (m.SerializeToString(deterministic=True) for m in (left, right))
    return left == right and one == other


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # onnx's own data
def test_backend_suite_comes_back_whole(session_folder: Path) -> None:
    """Every model of onnx's backend suite is the same after a round trip."""
    paths = whole_backend_suite(session_folder)
    assert paths
    for path in paths:
        model = onnx.load(path, load_external_data=False)
        assert same(Surgery(model).model(), model)


@quick
@given(model=models())
def test_generated_models_come_back_whole(model: ModelProto) -> None:
    """Bodies, functions, sparse and external weights, metadata, annotations: all is there."""
    before = model.SerializeToString(deterministic=True)
    assert same(Surgery(model).model(), model)
    assert model.SerializeToString(deterministic=True) == before


@quick
@given(model=models())
def test_renaming_nodes_changes_their_names_only(model: ModelProto) -> None:
    """Edited nodes keep metadata, doc strings, overloads and attributes of odd kinds."""
    surgery = Surgery(model)
    for number, node in enumerate(surgery.graph.nodes):
        node.name = f"renamed {number}"
    expected = ModelProto()
    expected.CopyFrom(model)
    for number, node in enumerate(expected.graph.node):
        node.name = f"renamed {number}"
    assert same(surgery.model(), expected)


def test_a_new_node_is_all_that_is_new() -> None:
    """A node put in by graphsurgeon is there; every other message is what it was."""
    model = with_subgraphs()
    for _, node in walk_nodes(model):
        node.metadata_props.add(key="theirs", value="kept")
    surgery = Surgery(model)
    graph = surgery.graph
    last = graph.outputs[0].inputs[0]
    between = gs.Variable("between", np.float32, [2, 64])
    last.outputs = [between]
    graph.nodes.append(gs.Node("Relu", "new", inputs=[between], outputs=[graph.outputs[0]]))
    result = surgery.model()
    onnx.checker.check_model(result, full_check=True)
    expected = ModelProto()
    expected.CopyFrom(model)
    changed = next(n for n in expected.graph.node if model.graph.output[0].name in n.output)
    changed.output[:] = ["between"]
    new = onnx.helper.make_node("Relu", ["between"], [model.graph.output[0].name], "new")
    expected.graph.node.append(new)
    expected.graph.value_info.append(
        onnx.helper.make_tensor_value_info("between", onnx.TensorProto.FLOAT, [2, 64])
    )
    assert same(result, expected)


def test_weights_that_lose_their_user_go_and_others_stay() -> None:
    """Taking a subgraph's node out takes its weight along, from that graph only."""
    model = with_subgraphs()
    surgery = Surgery(model)
    scan = next(node for node in surgery.graph.nodes if node.op == "Scan")
    step = scan.attrs["body"]
    add = next(node for node in step.nodes if node.op == "Add")
    input_from_node = next(i for i in add.inputs if i.inputs)
    add.inputs[add.inputs.index(input_from_node)] = next(
        i for i in add.inputs if i is not input_from_node
    )
    step.cleanup()
    result = surgery.model()
    before, after = (
        [
            w.name
            for n in m.graph.node
            if n.op_type == "Scan"
            for w in subgraph_of(n, "body").initializer
        ]
        for m in (model, result)
    )
    assert before
    assert after == []
    pairs = list(zip(model.graph.node, result.graph.node, strict=True))
    assert [old.op_type for old, new in pairs if old != new] == ["Scan"]


def test_an_attribute_and_a_weight_change_alone() -> None:
    """A new value of one attribute and of one weight leaves doc strings and the rest alone."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 18]> g (float[2, 3] x) => (float[3, 2] y)'
        "<float[1] w = {2.0}> { a = Mul(x, w) y = Transpose <perm = [1, 0]> (a) }"
    )
    model.graph.initializer[0].doc_string = "a weight"
    model.graph.node[1].attribute[0].doc_string = "gone with the value that it was about"
    surgery = Surgery(model)
    surgery.graph.nodes[0].inputs[1].values = np.array([3.0], np.float32)
    result = surgery.model()
    assert numpy_helper.to_array(result.graph.initializer[0]).tolist() == [3.0]
    assert result.graph.initializer[0].doc_string == "a weight"
    assert result.graph.node == model.graph.node
    surgery.graph.nodes[1].attrs["perm"] = [0, 1]
    perm = surgery.model().graph.node[1].attribute[0]
    assert list(perm.ints) == [0, 1]
    assert surgery.model().graph.node[0] == model.graph.node[0]


def test_weights_stay_in_the_file_until_asked_for(tmp_path: Path) -> None:
    """A skeleton's weights are not read by a round trip, and read right by who asks."""
    source = save_model(tmp_path, with_subgraphs())
    payload_requests: list[str] = []
    with OnnxContainer.open(source) as container:

        def payload(tensor: onnx.TensorProto) -> bytes | None:
            payload_requests.append(tensor.name)
            return container.payload(tensor)

        skeleton = container.skeleton()
        surgery = Surgery(skeleton, payload=payload)
        assert same(surgery.model(), skeleton)
        assert payload_requests == []
        node = next(
            n
            for n in surgery.graph.nodes
            if n.op == "Constant" and len(n.attrs["value"].shape) == 2
        )
        values = node.attrs["value"].values
        assert payload_requests == [""]
        assert same(surgery.model(), skeleton)
    constant = next(n for n in onnx.load(source).graph.node if n.output[0] == node.outputs[0].name)
    assert values.tobytes() == numpy_helper.to_array(constant.attribute[0].t).tobytes()


def test_an_edited_model_runs() -> None:
    """What comes out after an edit is a model that onnxruntime runs."""
    surgery = Surgery(with_subgraphs())
    output = surgery.graph.outputs[0]
    weight = gs.Constant("scale", np.full((1,), 2, np.float32))
    scaled = gs.Variable("scaled", np.float32, output.shape)
    surgery.graph.nodes.append(gs.Node("Mul", "scaling", inputs=[output, weight], outputs=[scaled]))
    surgery.graph.outputs.append(scaled)
    feeds = {"x": np.ones((2, 64), np.float32), "c": np.array(True)}
    session = ort.InferenceSession(surgery.model().SerializeToString())
    results = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True)
    )
    assert (results["scaled"] == 2 * results[output.name]).all()


def test_what_graphsurgeon_cannot_read_is_an_error() -> None:
    """A model beyond graphsurgeon is refused with the reason, never half read."""
    model = with_subgraphs()
    model.graph.node[0].attribute.add(name="s", type=onnx.AttributeProto.STRING, s=b"\xff")
    with pytest.raises(SurgeryError, match="graphsurgeon cannot read"):
        Surgery(model)


def test_only_surgery_imports_graphsurgeon() -> None:
    """The rest of the rewriter works where graphsurgeon is not installed."""
    code = "import sys, modelexport.rewriter; print('onnx_graphsurgeon' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "False"
    root = Path(__file__).parents[3]
    importers = {
        path.relative_to(root).parts[:2]
        for package in ("hierarchy", "support", "tracer", "rewriter", "pipeline", "cli")
        for path in (root / package).rglob("*.py")
        if "import onnx_graphsurgeon" in path.read_text()
        or "from onnx_graphsurgeon" in path.read_text()
    }
    assert importers == {("rewriter", "surgery")}
