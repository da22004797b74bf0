"""Batch jobs whose models are folders of parts: traced into one, and given as one."""

import shutil
from pathlib import Path

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.part_manifest import MANIFEST, read_part_manifest
from tests.helpers.batching import MIXED, job_rows, run_batch, write_plan
from tests.helpers.commands import Run
from tests.helpers.part_folders import names

Mixed = tuple[Path, int, str, str]
FOLDERS = {
    "generating": "generating.annotated.parts",
    "generated": "generated.parts",
    "parts": "parts.annotated.parts",
}
"""The folder that each job makes last."""


def is_tagged(node: onnx.NodeProto) -> bool:
    return keys.TAG in {entry.key for entry in node.metadata_props}


def nodes_of(folder: Path) -> list[onnx.NodeProto]:
    """The nodes of all parts in a folder."""
    parts = read_part_manifest(folder).parts
    return [node for part in parts for node in onnx.load(folder / part.onnx).graph.node]


def test_folders_are_made_of_sources_and_of_folders(mixed: Mixed) -> None:
    """They are complete, and the counts in the summary are those of all parts together."""
    folder, _, text, _ = mixed
    rows, out = job_rows(folder), folder / "out"
    for job, name in FOLDERS.items():
        nodes = nodes_of(out / name)
        assert all(map(is_tagged, nodes))
        assert rows[job]["nodes"] == rows[job]["tagged"] == len(nodes) > 0
        line = next(line for line in text.splitlines() if line.startswith(f"| {job} |"))
        assert name in line
        assert MANIFEST not in line
    assert names(out / FOLDERS["parts"]) == names(folder / "parts")
    assert not any(map(is_tagged, nodes_of(out / "generating.parts")))
    assert "generating.report.json" in rows["generating"]["files"]


def test_a_missing_file_of_a_folder_is_made_again(mixed: Mixed, tmp_path: Path) -> None:
    """Other jobs are left alone; the reason names the file in its folder."""
    folder = Path(shutil.copytree(mixed[0], tmp_path / "copy"))
    tables = MIXED.split("[[models]]")
    of_parts = [
        table for table in tables[1:] if "parts = true" in table and "untagged" not in table
    ]
    assert len(of_parts) == len(FOLDERS)
    write_plan(folder, "[[models]]".join([tables[0], *of_parts]))
    (folder / "out" / FOLDERS["parts"] / MANIFEST).unlink()
    assert run_batch(folder, "--workers", "1", "--resume").code == 0
    rows = job_rows(folder)
    assert {job: row["state"] for job, row in rows.items()} == {
        job: "done" if job == "parts" else "kept" for job in FOLDERS
    }
    assert rows["parts"]["reason"] == f"{FOLDERS['parts']}/{MANIFEST} is missing"


def test_plans_name_folders_and_files(mixed: Mixed, run: Run) -> None:
    """A dry run tells the folders; folders without `parts` and files with it are refused."""
    plan = mixed[0] / "plan.toml"
    text = run("batch", plan, "--dry-run").out.splitlines()
    assert f"generated: export -> {FOLDERS['generated']}" in text
    assert f"parts: annotate, validate -> {FOLDERS['parts']}" in text
    other = mixed[0] / "other.toml"
    for table, words in (
        ('onnx = "parts"', "parts = true"),
        ('onnx = "plain.onnx"\nparts = true', MANIFEST),
        ('onnx = "nowhere"\nparts = true', MANIFEST),
    ):
        other.write_text(f"[[models]]\n{table}\n")
        refused = run("batch", other, "--dry-run")
        assert (refused.code, words in refused.err) == (2, True), refused.err
