"""Equal siblings in the tree of `profile`: one entry by default, one by one with --all."""

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelexport.cli.render_profile import summary, tree
from modelexport.rewriter import Profile, profile
from tests.helpers.commands import Run
from tests.helpers.printed import RUNS, printed, save_layers

LAYERS = len(RUNS)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A network with runs of equal layers, and one layer between them that is another."""
    file = save_layers(tmp_path_factory.mktemp("net"), "net.onnx", *RUNS)
    return profile(file, level="disable", runs=2, sessions=1, warmup=0, threads=1)


def _text(result: Profile, *, every_module: bool) -> str:
    return "\n".join(printed(part, 300) for part in tree(result, every_module=every_module))


def test_equal_layers_are_one_entry(profiled: Profile) -> None:
    """With the time of all of them, and the shortest and the longest of one."""
    text = _text(profiled, every_module=False)
    assert re.findall(r"layer\.\((\d+)-(\d+)\): (\d+) x", text) == [
        ("0", "2", "3"), ("4", f"{LAYERS - 1}", f"{LAYERS - 4}")
    ]  # fmt: skip
    assert len(re.findall(r"layer\.3 ", text)) == 1
    times = [row.time for row in profiled.modules if re.fullmatch(r"layer\.[0-2]", row.path)]
    share = sum(times) / profiled.node_time
    (line,) = [line for line in text.splitlines() if "layer.(0-2)" in line]
    assert f" {share:.1%}" in line
    assert f"each {min(times):,.0f} us to {max(times):,.0f} us" in line


def test_modules_inside_equal_layers_stand_for_all_of_them(profiled: Profile) -> None:
    """The linear module below three equal layers has the time of all three."""
    lines = _text(profiled, every_module=False).splitlines()
    at = next(n for n, line in enumerate(lines) if "layer.(0-2)" in line)
    times = [row.time for row in profiled.modules if re.fullmatch(r"layer\.[0-2]\.fc", row.path)]
    assert len(times) == 3
    assert f"3 x Linear  {sum(times):,.0f} us" in lines[at + 1]


def test_all_shows_every_module(profiled: Profile) -> None:
    """One entry for each row."""
    text = _text(profiled, every_module=True)
    assert len(re.findall(r"layer\.\d+ ", text)) == LAYERS
    assert " x " not in text


def test_the_summary_says_what_is_unknown_and_what_several_modules_share(
    profiled: Profile,
) -> None:
    """An imported profile has no time outside nodes; a fused layer is work of several modules."""
    outside = f"{profiled.outside_nodes:,.0f} us outside nodes"
    assert outside in summary(profiled)
    assert "several modules" not in summary(profiled)
    first, *others = profiled.nodes
    first = replace(first, covers=("/Net/layer.0", "/Net/layer.1"))
    text = summary(replace(profiled, outside_nodes=None, nodes=[first, *others]))
    assert "time outside nodes unknown" in text
    assert f"{first.time / profiled.node_time:.1%} in layers of several modules" in text


def test_rows_of_json_are_not_folded(tmp_path: Path, run: Run) -> None:
    """Scripts get every module."""
    file = save_layers(tmp_path, "net.onnx", *RUNS)
    short = ("--runs", "1", "--warmup", "0", "--level", "disable")
    document = json.loads(run("profile", file, *short, "--output-format", "json").out)
    paths = [row["path"] for row in document["modules"]]
    assert [path for path in paths if re.fullmatch(r"layer\.\d+", path)] == [
        f"layer.{number}" for number in range(LAYERS)
    ]
    assert run("profile", file, *short, "--all").out.count("layer.") >= LAYERS
