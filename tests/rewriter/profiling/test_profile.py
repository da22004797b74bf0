"""Profiles by module: sums, nesting and charges, never a duration."""

import json
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from modelexport.errors import FileProblem, MissingExtraError, UsageError
from modelexport.hierarchy.choices import OptimisationLevel
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.profile_options import ProfileFiles
from modelexport.rewriter import Profile, annotate, compare_profiles, profile
from modelexport.rewriter.profiling import measured_profile
from modelexport.rewriter.profiling.sessions import LEAST_RUNS, MOST_RUNS
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain and an annotated file of two layers."""
    folder = tmp_path_factory.mktemp("profile")
    onnx.save(two_layers(), folder / "net.onnx")
    annotate(folder / "net.onnx", two_layers_record(), folder / "net.annotated.onnx")
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> ProfileFiles:
    """The files that a profile was written to."""
    files = ProfileFiles(
        trace=folder / "trace.json",
        speedscope=folder / "speedscope.json",
        folded_stacks=folder / "stacks.txt",
        node_data=folder / "times.json",
        save_optimised=folder / "optimised.onnx",
    )
    profile(folder / "net.annotated.onnx", runs=3, warmup=1, threads=1, files=files)
    return files


@pytest.mark.parametrize("level", OptimisationLevel)
def test_times_add_up(folder: Path, level: OptimisationLevel) -> None:
    """The root has all time, a module that of its own nodes and of what is inside it."""
    result = profile(folder / "net.annotated.onnx", level=level, runs=3, warmup=1, threads=1)
    assert (result.runs, result.level, result.inputs) == (3, level, {"x": [2, 4]})
    assert result.modules[0].time + result.no_module == pytest.approx(result.node_time)
    assert result.modules
    for row in result.modules:
        inside = [other.time for other in result.modules if other.parent == row.tag]
        assert row.time == pytest.approx(row.self_time + sum(inside))
        assert row.time == pytest.approx(sum(row.op_types.values()))
    assert sum(node.time for node in result.nodes) == pytest.approx(result.node_time)
    assert sum(result.op_types.values()) == pytest.approx(result.node_time)
    assert result.unmapped == 0
    below = sum(node.time for node in result.nodes if node.module)
    assert result.attributed == pytest.approx(below / (result.node_time or 1))
    assert 0 <= result.root_work <= 1 - result.attributed + 1e-9


def test_short_runs_are_measured_more_often(folder: Path) -> None:
    """Where the user names no number of runs, a small file is run more often than a large one."""
    result = profile(folder / "net.annotated.onnx", level="disable", sessions=2, threads=1)
    assert LEAST_RUNS < result.runs <= MOST_RUNS


def test_names_need_no_escapes(folder: Path) -> None:
    """Names are written as they are by onnxruntime into its profile, which is JSON."""
    model = onnx.load(folder / "net.annotated.onnx")
    for number, node in enumerate(model.graph.node):
        node.name = ('a"b', "a\x01b", "a\\", "a\n")[number % 4] + str(number)
    onnx.save(model, folder / "odd.onnx")
    odd, even = (
        profile(folder / f"{name}.onnx", level=OptimisationLevel.DISABLE, runs=1, warmup=0)
        for name in ("odd", "net.annotated")
    )
    modules = [[node.module for node in result.nodes] for result in (odd, even)]
    assert sorted(map(str, modules[0])) == sorted(map(str, modules[1]))
    assert len(odd.nodes) == len(even.nodes) > 0
    assert odd.unmapped == 0


def test_a_record_stands_for_annotation(folder: Path) -> None:
    """A plain file with its record has the modules of the annotated file."""
    options = {"level": "disable", "runs": 2, "threads": 1}
    plain = profile(folder / "net.onnx", record=two_layers_record(), **options)  # type: ignore[arg-type]
    annotated = profile(folder / "net.annotated.onnx", **options)  # type: ignore[arg-type]
    assert _modules(plain) == _modules(annotated)
    assert any("record" in note for note in plain.notes)


def _modules(result: Profile) -> list[tuple[str, str | None]]:
    assert result.nodes
    return [(node.name, node.module) for node in result.nodes]


def test_trace_slices_nest(files: ProfileFiles) -> None:
    """On each thread, two slices are apart, or one contains the other: Perfetto's rule."""
    assert files.trace is not None
    events = json.loads(files.trace.read_text())["traceEvents"]
    assert {event["cat"] for event in events} == {"module", "node"}
    assert len(events) > 1
    spans = [(e["tid"], e["ts"], e["ts"] + e["dur"]) for e in events]
    assert [pair for pair in combinations(spans, 2) if not _nest(*pair)] == []


def _nest(a: tuple[int, int, int], b: tuple[int, int, int]) -> bool:
    """Whether two slices are on different threads, apart, or one inside the other."""
    (thread, start, end), (other, low, high) = a, b
    apart = other != thread or high <= start or low >= end
    return apart or start <= low <= high <= end or low <= start <= end <= high


def test_trace_parents_come_first(files: ProfileFiles) -> None:
    """Slices that begin together stand with the outer one first."""
    assert files.trace is not None
    events = json.loads(files.trace.read_text())["traceEvents"]
    starts = [event["ts"] for event in events]
    assert starts == sorted(starts)
    assert events[0]["name"] == "Net"


def test_speedscope_frames_open_and_close(files: ProfileFiles) -> None:
    """Events are in order, and each closes the frame that was opened last."""
    assert files.speedscope is not None
    document = json.loads(files.speedscope.read_text())
    assert document["profiles"]
    for thread in document["profiles"]:
        assert thread["events"]
        opened: list[int] = []
        times = [event["at"] for event in thread["events"]]
        assert times == sorted(times)
        for event in thread["events"]:
            if event["type"] == "O":
                opened.append(event["frame"])
            else:
                assert opened.pop() == event["frame"]
        assert not opened


def test_folded_stacks_hold_the_modules(files: ProfileFiles) -> None:
    """A line is the modules, the node and a whole number."""
    assert files.folded_stacks is not None
    lines = files.folded_stacks.read_text().splitlines()
    assert lines
    for line in lines:
        stack, _, time = line.rpartition(" ")
        assert int(time) >= 0
        assert stack.split(";")[0] == "Net"


def test_node_data_names_the_nodes_of_the_optimised_file(files: ProfileFiles) -> None:
    """Each name is that of one node of the saved file, which is annotated."""
    assert files.node_data is not None
    assert files.save_optimised is not None
    data = json.loads(files.node_data.read_text())
    names = [node.name for _, node in walk_nodes(onnx.load(files.save_optimised))]
    assert len(set(names)) == len(names)
    assert set(data["results"]) == set(names)
    assert all(set(value) == {"value"} for value in data["results"].values())


def test_a_failed_profile_saves_nothing(folder: Path, tmp_path: Path) -> None:
    """The optimised file appears with all the others, or not at all."""
    files = ProfileFiles(
        trace=tmp_path / "trace.json",
        node_data=tmp_path / "times.json",
        save_optimised=tmp_path / "optimised.onnx",
    )
    with pytest.raises(UsageError, match="nowhere"):
        profile(folder / "net.annotated.onnx", runs=1, warmup=0, files=files, module="nowhere")
    assert list(tmp_path.iterdir()) == []


def test_what_appears_meanwhile_is_not_overwritten(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer may save its optimised file while this one measures."""
    files = ProfileFiles(trace=tmp_path / "t.json", save_optimised=tmp_path / "optimised.onnx")
    choose_feeds = measured_profile.choose_feeds

    def choose_late(*arguments: Any) -> Any:
        (tmp_path / "optimised.onnx").write_text("another's")
        return choose_feeds(*arguments)

    monkeypatch.setattr(measured_profile, "choose_feeds", choose_late)
    with pytest.raises(FileProblem, match="exists already"):
        profile(folder / "net.annotated.onnx", runs=1, warmup=0, files=files)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["another's"]


def test_two_profiles_are_held_side_by_side(folder: Path) -> None:
    """Each module has the times of both, the largest difference first."""
    path = folder / "net.annotated.onnx"
    both = [profile(path, level=level, runs=2, threads=1) for level in ("disable", "all")]
    result = compare_profiles(*both)
    assert {row.tag for row in result.modules} == {r.tag for p in both for r in p.modules}
    differences = [abs((row.b or 0) - (row.a or 0)) for row in result.modules]
    assert differences == sorted(differences, reverse=True)


def test_files_of_different_models_have_no_common_module(folder: Path) -> None:
    """Nothing would stand side by side."""
    result = profile(folder / "net.annotated.onnx", level="disable", runs=1, threads=1)
    rows = [msgspec.structs.replace(row, tag=f"/Other{row.tag}") for row in result.modules]
    other = msgspec.structs.replace(result, file="other.onnx", modules=rows)
    with pytest.raises(UsageError, match=r"and other\.onnx have no module in common"):
        compare_profiles(result, other)


def test_times_by_operator_are_those_of_what_is_listed(folder: Path) -> None:
    """Each node of the module and of those inside it once; those of its sibling are left out."""
    path = folder / "net.annotated.onnx"
    result = profile(path, level="disable", runs=1, threads=1, module="layer.1*")
    expected: Counter[str] = Counter()
    for node in result.nodes:
        if node.module is not None and node.module.startswith("layer.1"):
            expected[node.op_type] += node.time
    assert result.op_types == pytest.approx(dict(expected))
    assert 0 < sum(expected.values()) < result.node_time


@pytest.mark.parametrize("option", ["--trace", "--speedscope", "--folded-stacks"])
def test_a_file_for_another_tool_goes_to_standard_output(
    folder: Path, run: Run, option: str
) -> None:
    """The result goes to standard error then; two results cannot share the output."""
    command = ("profile", folder / "net.annotated.onnx", "--level", "disable", "--runs", "1")
    result = run(*command, "--sessions", "1", option, "-")
    lines = result.out.splitlines()
    assert result.code == 0
    assert lines
    assert all(line.startswith(("{", "Net")) for line in lines)
    assert "below the root" in result.err
    both = run(*command, option, "-", "--output-format", "json")
    assert (both.code, both.out) == (2, "")
    assert f"{option} - and --output-format json cannot both use standard output" in both.err


def test_openvino_is_an_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=re.escape("modelexport[openvino]")):
        profile(folder / "net.annotated.onnx", runs=1, runtime="openvino")


def test_inputs_of_another_shape_are_refused(folder: Path) -> None:
    """The sentence has both shapes."""
    np.savez(folder / "inputs.npz", x=np.zeros((3, 5), np.float32))
    with pytest.raises(
        UsageError, match=r"inputs\.npz: its x is float32\[3, 5\], but the file takes"
    ):
        profile(folder / "net.annotated.onnx", runs=1, probe=folder / "inputs.npz")


def test_wrong_uses_are_refused(folder: Path) -> None:
    """One sentence, before anything runs."""
    path = folder / "net.annotated.onnx"
    with pytest.raises(UsageError, match="no module"):
        profile(path, runs=1, module="nothing")
    with pytest.raises(UsageError, match="needs --save-optimised"):
        profile(path, files=ProfileFiles(node_data=folder / "new.json"))
    with pytest.raises(FileProblem, match="exists already"):
        profile(path, files=ProfileFiles(trace=path.with_name("net.onnx")))
    with pytest.raises(UsageError, match="--provider nothing"):
        profile(path, runs=1, provider="nothing")
    with pytest.raises(UsageError, match="Unknown level of optimisation 'most'"):
        profile(path, level="most")
