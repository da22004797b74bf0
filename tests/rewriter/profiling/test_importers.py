"""Profiles recorded elsewhere: each format is recognised, read and joined with the nodes."""

import errno
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import onnxruntime as ort
import pytest

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.profile_options import ImportedProfile, ProfileFiles
from modelexport.rewriter import Profile, annotate, profile
from modelexport.rewriter.profiling import write_profile
from modelexport.rewriter.profiling.importers.read_profile import read_profile
from tests.helpers.commands import Run
from tests.helpers.handmade import TWO_LAYERS_SCOPES, two_layers, two_layers_record

NODES = [node.name for node in two_layers().graph.node]
MODULES = dict(zip(NODES, TWO_LAYERS_SCOPES, strict=True))
RUN = [name for name in NODES if MODULES[name]]
"""Nodes of modules below the root."""


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotated file of two layers."""
    folder = tmp_path_factory.mktemp("imported")
    onnx.save(two_layers(), folder / "net.onnx")
    annotate(folder / "net.onnx", two_layers_record(), folder / "net.annotated.onnx")
    return folder / "net.annotated.onnx"


def _trtexec(names: Sequence[str], *, medians: bool = True) -> str:
    entries: list[dict[str, object]] = [{"count": 7}]
    for number, name in enumerate(names):
        entry = {"name": name, "timeMs": 7.0 * number, "averageMs": 2.0 + number, "percentage": 1.0}
        entries.append(entry | ({"medianMs": 1.0 + number} if medians else {}))
    return json.dumps(entries)


def _openvino_csv(names: Sequence[str]) -> str:
    head = "layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms)"
    rows = [f"{name};Status.EXECUTED;Any;jit;0.{n + 1:03};0.001" for n, name in enumerate(names)]
    return "\n".join([head, "x;Status.NOT_RUN;Parameter;any;0.000;0.000", *rows, "Total;;;;1;1"])


def _openvino_json(names: Sequence[str]) -> str:
    nodes = [
        {
            "name": name,
            "node_type": "Any",
            "status": "Status.EXECUTED",
            "real_time": f"0.{n + 1:03}",
        }
        for n, name in enumerate(names)
    ]
    return json.dumps({"report_type": "detailed", "detailed_performance": [{"nodes": nodes}] * 2})


def _openvino_graph(names: Sequence[str]) -> str:
    root = ET.Element("net", name="graph")
    layers = ET.SubElement(root, "layers")
    for number, name in enumerate(names):
        layer = ET.SubElement(layers, "layer", id=str(number), name=f"L{number}", type="A")
        data = {"execTimeMcs": str(number + 1), "execOrder": str(number)}
        ET.SubElement(layer, "data", originalLayersNames=name, **data)
    return ET.tostring(root, encoding="unicode")


def _qnn(names: Sequence[str]) -> str:
    head = (
        "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier"
    )
    rows = [
        f"1,NODE,{n + 1 + run},CYCLES,BACKEND,SUB-EVENT,{name}:OpId_{n} (cycles)"
        for run in (0, 2)
        for n, name in enumerate(names)
    ]
    root = "1,ROOT,9,CYCLES,BACKEND,ROOT,Accelerator (execute) time (cycles)"
    return "\n".join([head, root, *rows])


WRITERS = {
    "trtexec": _trtexec,
    "openvino-csv": _openvino_csv,
    "openvino-json": _openvino_json,
    "openvino-graph": _openvino_graph,
    "qnn": _qnn,
}


def _imported(annotated: Path, text: str, folder: Path, layers: str | None = None) -> Profile:
    (folder / "profile").write_text(text)
    if layers is not None:
        (folder / "layers").write_text(layers)
    imported = ImportedProfile(
        path=folder / "profile", layer_info=None if layers is None else folder / "layers"
    )
    return profile(annotated, imported=imported)


@pytest.mark.parametrize("name", WRITERS)
def test_layers_are_charged_to_the_modules_of_their_nodes(
    annotated: Path, tmp_path: Path, name: str
) -> None:
    """Each format is known by its content, and every layer has its time and its module."""
    result = _imported(annotated, WRITERS[name](RUN), tmp_path)
    assert [node.module for node in result.nodes] == [MODULES[node] for node in RUN]
    assert (result.attributed, result.unmapped, result.no_module) == (1, 0, 0)
    assert result.unit == ("cycles" if name == "qnn" else "us")
    times = [node.time for node in result.nodes]
    steps = {round(b - a, 6) for a, b in itertools.pairwise(times)}
    assert steps == ({1000.0} if name == "trtexec" else {1.0})


def test_the_name_of_a_value_stands_for_its_node(annotated: Path, tmp_path: Path) -> None:
    """Openvino calls the layer that computes an output of the model by that output."""
    model = onnx.load(annotated)
    values = {node.name: node.output[0] for node in model.graph.node}
    assert not values.keys() & set(values.values())
    path = tmp_path / "values.csv"
    path.write_text(_openvino_csv([values[name] for name in NODES]))
    result = profile(annotated, imported=ImportedProfile(path=path))
    assert [node.nodes for node in result.nodes] == [(name,) for name in NODES]
    assert result.unmapped == 0


@pytest.mark.parametrize("text", [_trtexec(RUN), _qnn(RUN)], ids=["trtexec", "QNN"])
def test_operators_are_those_of_the_nodes(annotated: Path, tmp_path: Path, text: str) -> None:
    """Where the profile names none."""
    path = tmp_path / "recorded"
    path.write_text(text)
    operators = {node.name: node.op_type for node in onnx.load(annotated).graph.node}
    result = profile(annotated, imported=ImportedProfile(path=path))
    assert [node.op_type for node in result.nodes] == [operators[name] for name in RUN]


def test_layer_information_is_for_trtexec(annotated: Path, tmp_path: Path) -> None:
    """Beside another profile it would change nothing."""
    path = tmp_path / "times.csv"
    path.write_text(_openvino_csv(RUN))
    with pytest.raises(UsageError, match="a profile of openvino; --layer-info is for those of trt"):
        profile(annotated, imported=ImportedProfile(path=path, layer_info=path))


def test_a_profile_may_come_from_standard_input(
    annotated: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any file may."""
    path = tmp_path / "times.csv"
    path.write_text(_openvino_csv(RUN))
    options = ("profile", annotated, "--output-format", "csv", "--import")
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run(*options, "-").out == run(*options, path).out != ""


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_not_mapped_is_shown(annotated: Path, tmp_path: Path, name: str) -> None:
    """The time of a layer without a node counts, belongs to no module, and has a reason."""
    result = _imported(annotated, WRITERS[name]([*RUN, "__myl_Fused_7"]), tmp_path)
    *_, unknown = result.nodes
    assert result.unmapped == pytest.approx(unknown.time / result.node_time)
    assert result.no_module == unknown.time > 0
    assert unknown.reason
    assert result.attributed == pytest.approx(1 - result.unmapped)


def test_older_trtexec_has_averages_only(annotated: Path, tmp_path: Path) -> None:
    """The average stands where there is no median."""
    result = _imported(annotated, _trtexec(RUN, medians=False), tmp_path)
    assert [node.time for node in result.nodes] == [1000 * (2.0 + n) for n in range(len(RUN))]


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("layer.0.fc.weight + proj0 + PWN(relu0)", ["proj0", "relu0"]),
        ("PWN(PWN(relu0), plus0)", ["relu0", "plus0"]),
        ("Reformatting CopyNode for Input Tensor 0 to proj0 + PWN(relu0)", ["proj0", "relu0"]),
        ("{ForeignNode[proj0...relu0]}", ["proj0", "bias0", "relu0"]),
        ("bias1_clone_1", ["bias1"]),
        ("(Unnamed Layer* 112) [ElementWise]", []),
    ],
)
def test_names_of_trtexec_name_onnx_nodes(
    annotated: Path, tmp_path: Path, name: str, nodes: list[str]
) -> None:
    """Fused layers, copies, groups and clones; layers that several modules share say so."""
    (layer,) = _imported(annotated, _trtexec([name]), tmp_path).nodes
    assert list(layer.nodes) == nodes
    assert (len(layer.covers) > 1) == (len({MODULES[node] for node in nodes}) > 1)


def test_layer_information_tells_the_nodes(annotated: Path, tmp_path: Path) -> None:
    """Its metadata names the nodes of a layer whose name does not."""
    metadata = "[ONNX Layer: proj0]\x1f[ONNX Layer: bias0]\x1e[ONNX Layer: relu0]"
    layers = {"Layers": [{"Name": "__myl_1", "LayerType": "gemm", "Metadata": metadata}]}
    (layer,) = _imported(annotated, _trtexec(["__myl_1"]), tmp_path, json.dumps(layers)).nodes
    assert (layer.nodes, layer.op_type) == (("proj0", "bias0", "relu0"), "gemm")


@pytest.mark.parametrize("optimised", [False, True])
def test_profiles_of_onnxruntime_are_joined(
    annotated: Path, tmp_path: Path, optimised: bool
) -> None:
    """A profile of the file as it is, and one of its optimised form, whose names it lacks."""
    options = ort.SessionOptions()
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "ort")
    session = ort.InferenceSession(annotated, options, providers=["CPUExecutionProvider"])
    session.run(None, {"x": two_layers_record().probe.inputs[0].to_array()})
    recorded = Path(session.end_profiling())
    result = profile(annotated, imported=ImportedProfile(path=recorded))
    assert result.nodes
    assert result.unmapped == 0
    assert {node.name for node in result.nodes}.isdisjoint(NODES) is False
    assert any(node.name not in NODES for node in result.nodes) == optimised


def _no_room(*_: object) -> str:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_files_for_other_tools_appear_together(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one of them cannot be written, none is there."""
    (tmp_path / "p.json").write_text(_trtexec(NODES))
    files = ProfileFiles(trace=tmp_path / "t.json", folded_stacks=tmp_path / "f.txt")
    monkeypatch.setattr(write_profile, "folded_stacks", _no_room)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileProblem, match=r"f\.txt: cannot be written"):
        profile(annotated, imported=ImportedProfile(path=tmp_path / "p.json"), files=files)
    assert sorted(tmp_path.rglob("*")) == before


def test_other_files_are_refused(annotated: Path, tmp_path: Path) -> None:
    """One sentence for a file of another kind, an empty one, and a damaged one."""
    wrong = {
        "other.json": ('{"a": 1}', "not a profile"),
        "empty": ("", "not a profile"),
        "damaged.json": ("[1, ", "damaged"),
        "object.json": (_openvino_json(["a"]).replace('"Any"', '{"a": 1}'), "damaged"),
        "infinite.json": (_trtexec(["a"]).replace("1.0", "Infinity"), "not a finite number"),
        "deep.json": ("[" * 100_000, "damaged"),
        "entity.xml": ("<!DOCTYPE a><a/>", "damaged"),
        "none.csv": (_openvino_csv([]), "no layers"),
    }
    for name, (text, message) in wrong.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(FileProblem, match=message):
            read_profile(tmp_path / name)
    with pytest.raises(FileProblem, match="cannot be read"):
        read_profile(tmp_path / "absent")
    imported = ImportedProfile(path=tmp_path / "other.json")
    with pytest.raises(UsageError, match="a run in onnxruntime"):
        profile(annotated, imported=imported, files=ProfileFiles(save_optimised=tmp_path / "o"))
