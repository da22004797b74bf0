"""A model in torch beside a folder of its parts, by the real commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import MANIFEST, read_part_manifest
from modelexport.hierarchy.record import read_record
from tests.helpers.commands import Run
from tests.helpers.generating_models import GeneratingModels
from tests.helpers.part_folders import names, published, roles
from tests.helpers.versions import perturb_module

JSON = ("--output-format", "json")
NAME = "t5"


@pytest.fixture
def parts(generating: GeneratingModels, tmp_path: Path) -> Path:
    """A copy of the plain parts, which a test may change."""
    return Path(shutil.copytree(generating.parts(NAME), tmp_path / "parts"))


def test_each_part_computes_what_the_model_does(generating: GeneratingModels, run: Run) -> None:
    """Every call of every module in every part, on the inputs of its record."""
    folder = generating.parts(NAME)
    ran = run("compare", generating.model(NAME), folder, "--numeric", *JSON)
    results = published("compare-source-parts", ran.out)
    assert (ran.code, list(results)) == (0, roles(folder))
    parts = read_part_manifest(folder).parts
    assert parts
    for part in parts:
        record = read_record(folder / part.record)
        called = {module.path for module in record.modules if module.calls}
        assert {row["path"] for row in results[part.role]["modules"]} == called
        assert {row["status"] for row in results[part.role]["modules"]} == {"equal"}
        assert results[part.role]["inputs"] == "the record's"


def test_the_part_with_other_weights_is_named(
    generating: GeneratingModels, parts: Path, run: Run
) -> None:
    """The other parts are the same; a single file of the folder is compared as its part."""
    model = generating.model(NAME)
    last = read_part_manifest(parts).parts[-1]
    record = read_record(parts / last.record)
    called = {module.path for module in record.modules if module.calls}
    owners = [(t.parameter or "").rpartition(".")[0] for t in record.tensors]
    owner = next(path for path in owners if path in called)
    perturb_module(parts / last.onnx, parts / last.onnx, record, owner)
    ran = run("compare", model, parts, "--numeric", *JSON)
    results = published("compare-source-parts", ran.out)
    assert ran.code == 1
    begins = {
        role: [row["path"] for row in result["modules"] if row["begins"]]
        for role, result in results.items()
    }
    assert {role: paths[:1] for role, paths in begins.items()} == {
        role: [owner] if role == last.role else [] for role in roles(parts)
    }
    alone = run("compare", model, parts / last.onnx, "--numeric", *JSON)
    assert json.loads(alone.out) == results[last.role]
    first = read_part_manifest(parts).parts[0]
    text = run("compare", model, parts / first.onnx, "--numeric")
    assert (text.code, "on the record's inputs" in text.out) == (0, True)
    tree = run("compare", model, parts, "--numeric", "--output-format", "table", "--module", owner)
    assert f"# {last.role.replace('_', ' ')}" in tree.out.splitlines()


def test_parts_of_another_model_are_refused(
    generating: GeneratingModels, parts: Path, run: Run, tmp_path: Path
) -> None:
    """A part that the model does not have is named, and so are inputs that it does not read."""
    ran = run("compare", generating.model("llama"), parts, "--numeric")
    assert ran.code == 2
    assert f"{PartRole.ENCODER}_model.onnx: it is the encoder" in ran.err
    np.savez(tmp_path / "probe.npz", nothing=np.zeros(1))
    probe = ("--probe", tmp_path / "probe.npz")
    ran = run("compare", generating.model(NAME), parts, "--numeric", *probe)
    assert (ran.code, "it has no input nothing" in ran.err) == (2, True)


def test_a_cache_that_the_model_is_not_given(
    generating: GeneratingModels, run: Run, tmp_path: Path
) -> None:
    """Outside its folder, a decoder with past is no part: the error says what reads the cache."""
    part = read_part_manifest(generating.parts("llama")).parts[-1]
    for name in (part.onnx, part.record):
        shutil.copy2(generating.parts("llama") / name, tmp_path / name)
    line = ("compare", generating.model("llama"), tmp_path / part.onnx, "--numeric")
    line += ("--record", tmp_path / part.record)
    refused = run(*line)
    assert (refused.code, "-with-past" in refused.err) == (2, True)
    assert run(*line, "--task", "text-generation-with-past").code == 0


def test_a_dry_run_tells_the_parts(generating: GeneratingModels, run: Run, tmp_path: Path) -> None:
    """The inputs, axes and files are those of the folder that is made then."""
    model, target = generating.model(NAME), tmp_path / "new"
    line = ("trace", model, target, "--parts", "--exporter", "torchscript", "--dry-run")
    plan = published("parts-plan", run(*line, *JSON).out)
    folder = generating.parts(NAME)
    manifest = read_part_manifest(folder)
    assert {
        role: [(value["name"], tuple(value["shape"])) for value in part["inputs"]]
        for role, part in plan["parts"].items()
    } == {
        part.role: [(value.name, value.shape) for value in part.inputs] for part in manifest.parts
    }
    assert sorted(Path(file).name for file in plan["files"]) == names(folder)
    text = run(*line).out
    assert [f"would write {file}" in text for file in plan["files"]] == [True] * len(plan["files"])
    assert not target.exists()
    target.mkdir()
    (target / MANIFEST).write_text("{}")
    assert "--force" in run(*line).err


def test_decisions_of_all_parts_in_one_report(
    generating: GeneratingModels, run: Run, tmp_path: Path
) -> None:
    """`export --report` writes them by part, as `annotate` does with a folder."""
    report, target = tmp_path / "r.json", tmp_path / "parts"
    line = ("export", generating.model("llama"), target, "--parts", "--exporter", "torchscript")
    assert run(*line, "--report", report).code == 0
    reports = published("annotate-parts", report.read_text())
    assert list(reports) == roles(target)
    assert reports
    assert all(content["resolved"] == content["nodes"] > 0 for content in reports.values())
