"""Commands that choose, measure, cut out and show modules, on a folder of parts."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.part_manifest import read_part_manifest
from tests.helpers.commands import Run
from tests.helpers.part_folders import names, published, roles

JSON = ("--output-format", "json")


@pytest.fixture
def unequal_parts(annotated_parts: Path, run: Run) -> Path:
    """The annotated folder, whose first part has nodes of `layer.0` alone."""
    file = annotated_parts / read_part_manifest(annotated_parts).parts[0].onnx
    part = annotated_parts / "layer.onnx"
    assert run("extract", file, "layer.0", "-o", part).code == 0
    part.replace(file)
    return annotated_parts


def nodes_by_module(file: Path) -> dict[str, list[str]]:
    """Names of the nodes by the module in their tag."""
    modules: dict[str, list[str]] = {}
    for node in onnx.load(file).graph.node:
        (tag,) = (entry.value for entry in node.metadata_props if entry.key == keys.TAG)
        modules.setdefault("/".join(tag.split("/")[2:3]), []).append(node.name)
    return modules


def test_select_by_part(unequal_parts: Path, run: Run, tmp_path: Path) -> None:
    """Names come by part; a part without the module is left out; tools get one JSON object."""
    parts = read_part_manifest(unequal_parts).parts
    names = {part.role: nodes_by_module(unequal_parts / part.onnx) for part in parts}
    ran = run("select", unequal_parts, "--module", "layer.0", "--format", "json")
    selections = published("select-parts", ran.out)
    assert {r: [n["name"] for n in s["nodes"]] for r, s in selections.items()} == {
        role: modules["layer.0"] for role, modules in names.items()
    }
    last = parts[-1].role
    ran = run("select", unequal_parts, "--module", "layer.1")
    assert ran.out.splitlines() == [f"# {last}", *names[last]["layer.1"]]
    ran = run("select", unequal_parts, "--module", "layer.1", "--format", "ort")
    assert json.loads(ran.out) == {last: {"nodes_to_exclude": names[last]["layer.1"]}}
    out = tmp_path / "devices"
    line = ("select", unequal_parts, "--module", "layer.1", "--format", "layer-ann", "-o", out)
    assert run(*line).code == 0
    assert [b"layer_ann" in (out / part.onnx).read_bytes() for part in parts] == [False, True]
    absent = run("select", unequal_parts, "--module", "layer.7")
    assert (absent.code, "'layer.7'" in absent.err) == (2, True)


def test_profile_sums_the_parts(unequal_parts: Path, run: Run) -> None:
    """Times of equal tags are added; a part without the module has none of it; two folders."""
    line = ("profile", unequal_parts, "--runs", "2", "--threads", "1")
    result = published("profile-parts", run(*line, *JSON).out)
    whole = {row["tag"]: row["time"] for row in result["whole"]["modules"]}
    parts = [{r["tag"]: r["time"] for r in p["modules"]} for p in result["parts"].values()]
    assert list(whole) == list(parts[-1])
    assert whole == {tag: pytest.approx(sum(p.get(tag, 0) for p in parts)) for tag in whole}
    total = sum(part["node_time"] for part in result["parts"].values())
    assert result["whole"]["node_time"] == pytest.approx(total)
    only = published("profile-parts", run(*line, *JSON, "--module", "layer.1").out)
    assert [len(part["modules"]) > 0 for part in only["parts"].values()] == [False, True]
    table = run(*line, "--output-format", "table").out.splitlines()
    assert table[0].split()[2:5] == [*roles(unequal_parts), "sum"]
    tree = run(*line).out.splitlines()
    assert [line.split(":")[0] for line in tree[-2:]] == roles(unequal_parts)
    both = published("profile-comparison", run(*line, unequal_parts, *JSON).out)
    assert [row["tag"] for row in both["modules"] if row["a"] and row["b"]]
    refused = run(*line, "--trace", "t.json")
    assert (refused.code, "one file of this folder" in refused.err) == (2, True)


def test_extract_from_the_parts_that_have_it(unequal_parts: Path, run: Run, tmp_path: Path) -> None:
    """A folder gets a file for each; one file is enough where one part has the module."""
    out = tmp_path / "layer"
    ran = run("extract", unequal_parts, "layer.0", "-o", out, "--check", *JSON)
    results = published("extract-parts", ran.out)
    assert (ran.code, list(results)) == (0, roles(unequal_parts))
    assert [result["equal"] for result in results.values()] == [True] * len(roles(unequal_parts))
    parts = read_part_manifest(unequal_parts).parts
    assert names(out) == sorted(part.onnx for part in parts)
    single = tmp_path / "single.onnx"
    ran = run("extract", unequal_parts, "layer.1", "-o", single)
    assert (ran.code, f"({parts[-1].role})" in ran.out) == (0, True)
    modules = nodes_by_module(single).keys()
    assert "layer.1" in modules
    assert "layer.0" not in modules
    refused = run("extract", unequal_parts, "layer.0", "-o", single, "--force")
    assert (refused.code, "several parts have the module" in refused.err) == (2, True)
    assert run("extract", unequal_parts, "layer.7", "-o", out).code == 2


def test_split_divides_each_part(unequal_parts: Path, run: Run, tmp_path: Path) -> None:
    """Each part gets a folder of its own; one that lacks the modules of a stage is left out."""
    out = tmp_path / "stages"
    line = ("split", unequal_parts, "-o", out, "--check")
    results = published("split-parts", run(*line, "--parts", "2", *JSON).out)
    assert names(out) == sorted(roles(unequal_parts)) == sorted(results)
    assert [result["equal"] for result in results.values()] == [True] * len(roles(unequal_parts))
    ran = run(*line, "--stages", "layer.0;layer.1", "--force")
    assert (ran.code, ran.out.count("# ")) == (0, 1)
    assert ran.out.startswith(f"# {roles(unequal_parts)[-1]}\n")
    refused = run(*line, "--parts", "2", "--balance", "time", "--profile", "p.json")
    assert (refused.code, "one file of this folder" in refused.err) == (2, True)


def test_report_shows_all_parts(unequal_parts: Path, run: Run, tmp_path: Path) -> None:
    """One page with every file, its times and its errors; two folders are named."""
    times, errors, page = tmp_path / "p.json", tmp_path / "c.json", tmp_path / "r.html"
    line = ("profile", unequal_parts, "--runs", "1", "--threads", "1")
    times.write_text(run(*line, *JSON).out)
    errors.write_text(run("compare", unequal_parts, unequal_parts, "--numeric", *JSON).out)
    line = ("report", unequal_parts, "-o", page, "--profile", times, "--comparison", errors)
    assert run(*line).code == 0
    files = [part.onnx for part in read_part_manifest(unequal_parts).parts]
    shown = page_data(page)
    assert [file["file"] for file in shown] == files
    assert [file["time_unit"] for file in shown] == ["us"] * len(files)
    measured = [{key for module in file["modules"] for key in module} for file in shown]
    assert [figures & {"time", "error"} for figures in measured] == [{"time", "error"}] * len(files)
    assert run("report", unequal_parts, unequal_parts, "-o", page, "--force").code == 0
    assert [file["file"] for file in page_data(page)] == [
        f"{unequal_parts.name}/{file}" for file in files
    ] * 2
    record = ("--record", unequal_parts)
    refused = run("report", unequal_parts / files[0], "-o", page, "--force", *record)
    assert (refused.code, "is one file" in refused.err) == (2, True)


def page_data(page: Path) -> list[dict[str, Any]]:
    """The data in a page of `report`."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert match is not None
    data: list[dict[str, Any]] = json.loads(match[1])
    return data


@pytest.mark.parametrize("command", ["select", "profile", "extract", "split", "report"])
def test_plain_parts_are_matched_with_their_records(
    plain_parts: Path, run: Run, tmp_path: Path, command: str
) -> None:
    """The manifest names the records, so that no option is needed; --record takes a folder."""
    more = {
        "select": ["--module", "layer.0"],
        "extract": ["layer.0", "-o", tmp_path / "x"],
        "split": ["--parts", "2", "-o", tmp_path / "x"],
        "report": ["-o", tmp_path / "x.html"],
        "profile": ["--runs", "1"],
    }[command]

    def is_by_record(*options: object) -> bool:
        """Whether the notes say that the record was used."""
        force = [] if command in {"select", "profile"} else ["--force"]
        ran = run(command, plain_parts, *more, *force, *options)
        assert ran.code == 0, ran.err
        page = tmp_path / "x.html"
        notes = ran.out + ran.err + (page.read_text() if page.exists() else "")
        return notes.count("matched with the record") == len(roles(plain_parts))

    assert is_by_record()
    moved = tmp_path / "moved"
    shutil.copytree(plain_parts, moved)
    for part in read_part_manifest(plain_parts).parts:
        (plain_parts / part.record).unlink()
    assert not is_by_record()
    assert is_by_record("--record", moved)


def test_modules_of_some_parts(unequal_parts: Path, run: Run) -> None:
    """`analyze` and `compare` show the parts that have the module, and fail if none has it."""
    ran = run("analyze", unequal_parts, "--module", "layer.1", *JSON)
    (analysis,) = json.loads(ran.out)
    assert analysis["modules"][0]["path"] == "layer.1"
    assert analysis["modules"][0]["nodes"] > 0
    ran = run("compare", unequal_parts, unequal_parts, "--module", "layer.1", *JSON)
    results = published("compare-parts", ran.out)
    parts = read_part_manifest(unequal_parts).parts
    having = [p.role for p in parts if "layer.1" in nodes_by_module(unequal_parts / p.onnx)]
    assert (ran.code, list(results)) == (0, having)
    assert len(having) < len(parts)
    for command in (("analyze", unequal_parts), ("compare", unequal_parts, unequal_parts)):
        assert run(*command, "--module", "layer.7").code == 2
