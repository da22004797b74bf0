"""Commands on a folder of parts: what they do with one file they do with each."""

import json
import os
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.part_manifest import MANIFEST, read_part_manifest
from tests.helpers.commands import Run
from tests.helpers.part_folders import names, part_folder, published, roles

JSON = ("--output-format", "json")


def untagged(file: Path) -> list[str]:
    nodes = onnx.load(file).graph.node
    assert nodes
    return [n.name for n in nodes if keys.TAG not in {entry.key for entry in n.metadata_props}]


def test_annotate_and_strip_write_folders(
    plain_parts: Path, annotated_parts: Path, run: Run, tmp_path: Path
) -> None:
    """The annotated folder is complete, and strip gives back the files to the byte."""
    assert names(annotated_parts) == names(plain_parts)
    files = sorted(annotated_parts.glob("*.onnx"))
    assert [untagged(file) for file in files] == [[]] * len(roles(plain_parts))
    ran = run("strip", annotated_parts, "-o", tmp_path / "again", *JSON)
    assert list(published("strip-parts", ran.out)) == roles(plain_parts)
    contents = {file.name: file.read_bytes() for file in plain_parts.iterdir()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "again").iterdir()} == contents


def test_what_annotate_prints(plain_parts: Path, run: Run, tmp_path: Path) -> None:
    """Results by part: as text, as JSON, as a report, and explained without a file."""
    ran = run("annotate", plain_parts, "-o", tmp_path / "a", "--report", tmp_path / "r.json", *JSON)
    assert list(published("annotate-parts", ran.out)) == roles(plain_parts)
    assert list(json.loads((tmp_path / "r.json").read_text())) == roles(plain_parts)
    explained = run("annotate", plain_parts, "--explain", "#1")
    assert explained.code == 0
    assert explained.out.count("module: layer.0.fc") == len(roles(plain_parts))
    inherited = run("annotate", plain_parts, "--from", tmp_path / "a", "-o", tmp_path / "b")
    assert (inherited.code, names(tmp_path / "b")) == (0, names(plain_parts))


def test_analyze_shows_each_file(annotated_parts: Path, run: Run) -> None:
    """A folder stands for its files, in their order."""
    ran = run("analyze", annotated_parts, *JSON)
    parts = read_part_manifest(annotated_parts).parts
    assert [Path(a["file"]).name for a in json.loads(ran.out)] == [part.onnx for part in parts]


def test_validate_uses_the_records(annotated_parts: Path, plain_parts: Path, run: Run) -> None:
    """One bad part makes the answer no; the reference may be a folder, too."""
    ran = run("validate", annotated_parts, "--reference", plain_parts, *JSON)
    results = published("validate-parts", ran.out)
    assert (ran.code, list(results)) == (0, roles(annotated_parts))
    file = annotated_parts / read_part_manifest(annotated_parts).parts[-1].onnx
    file.write_bytes((plain_parts / file.name).read_bytes())
    ran = run("validate", annotated_parts, "--strict")
    assert ran.code == 1
    good, bad = (line for line in ran.out.splitlines() if not line.startswith(" "))
    assert ": good" in good
    assert "fault" in bad


def test_compare_pairs_the_parts(annotated_parts: Path, run: Run, tmp_path: Path) -> None:
    """Folders with themselves are the same; one with fewer parts is refused, and so is a file."""
    ran = run("compare", annotated_parts, annotated_parts, *JSON)
    assert (ran.code, list(published("compare-parts", ran.out))) == (0, roles(annotated_parts))
    text = run("compare", annotated_parts, annotated_parts)
    assert [role for role in roles(annotated_parts) if f"# {role}" in text.out.splitlines()] == (
        roles(annotated_parts)
    )
    file = annotated_parts / read_part_manifest(annotated_parts).parts[0].onnx
    refused = run("compare", annotated_parts, file)
    assert (refused.code, MANIFEST in refused.err) == (2, True)
    changed = onnx.load(file)
    changed.graph.node[2].op_type = "Sub"
    onnx.save(changed, file)
    other = part_folder(tmp_path / "other")
    assert run("compare", annotated_parts, other).code == 1


def test_damaged_folders(plain_parts: Path, annotated_parts: Path, run: Run) -> None:
    """Missing files, other content and outputs that exist are named."""
    again = run("annotate", plain_parts, "-o", annotated_parts)
    assert (again.code, "--force" in again.err) == (2, True)
    onto_itself = run("strip", plain_parts, "-o", plain_parts, "--force")
    assert (onto_itself.code, "is also an input" in onto_itself.err) == (2, True)
    to_stdout = run("strip", plain_parts, "-o", "-")
    assert (to_stdout.code, "several files" in to_stdout.err) == (2, True)
    file = plain_parts / read_part_manifest(plain_parts).parts[0].onnx
    file.unlink()
    assert str(file) in run("analyze", plain_parts).err
    manifest = plain_parts / MANIFEST
    text = manifest.read_text()
    for old, new in ((file.name, f"../{file.name}"), ("modelexport.parts", "else"), ("{", "[")):
        manifest.write_text(text.replace(old, new, 1))
        ran = run("analyze", plain_parts)
        assert (ran.code, MANIFEST in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"onnx": "encoder_model.trace.json"}, "as two files"),
        ({"record": "decoder_model.onnx"}, "as two files"),
        ({"record": MANIFEST}, "as two files"),
        ({"onnx": ".."}, "not the name of a file"),
        ({"onnx": ""}, "not the name of a file"),
        ({"record": "../x"}, "not the name of a file"),
        ({"record": "a\0"}, "not the name of a file"),
        ({"role": "decoder"}, "two parts of one role"),
        (None, "no parts"),
    ],
)
def test_damaged_manifests_are_refused(
    plain_parts: Path, run: Run, edit: dict[str, str] | None, words: str
) -> None:
    """No file stands for two, or the record of one would replace the file of another."""
    content = json.loads((plain_parts / MANIFEST).read_text())
    if edit is None:
        content["parts"] = []
    else:
        content["parts"][0] |= edit
    (plain_parts / MANIFEST).write_text(json.dumps(content))
    for command in (("validate",), ("analyze",), ("strip", "-o", plain_parts / "new")):
        ran = run(command[0], plain_parts, *command[1:])
        assert (ran.code, words in ran.err) == (2, True), ran.err
    assert not (plain_parts / "new").exists()


def test_records_elsewhere_are_not_copied(annotated_parts: Path, run: Run, tmp_path: Path) -> None:
    """A link to a file outside the folder is none of its files."""
    record = annotated_parts / read_part_manifest(annotated_parts).parts[0].record
    (tmp_path / "secret").write_text("secret")
    record.unlink()
    record.symlink_to(tmp_path / "secret")
    ran = run("strip", annotated_parts, "-o", tmp_path / "new")
    assert ran.code == 2
    assert "link" in ran.err
    assert not (tmp_path / "new").exists()


def test_pipes_are_no_records(plain_parts: Path, run: Run, tmp_path: Path) -> None:
    """Nothing waits for a pipe in the place of a record."""
    record = plain_parts / read_part_manifest(plain_parts).parts[0].record
    record.unlink()
    os.mkfifo(record)
    ran = run("annotate", plain_parts, "-o", tmp_path / "new")
    assert (ran.code, "not a regular file" in ran.err) == (2, True), ran.err


def test_no_folder_is_left_of_a_failure(annotated_parts: Path, run: Run, tmp_path: Path) -> None:
    """The folder appears with all its files, or not at all."""
    last = annotated_parts / read_part_manifest(annotated_parts).parts[-1].onnx
    last.write_bytes(last.read_bytes()[:-200])
    existing = tmp_path / "existing"
    existing.mkdir()
    commands = (("strip",), ("annotate",), ("extract", "layer.0"), ("split", "--parts", "2"))
    for command in commands:
        for target in (tmp_path / "new" / "parts", existing):
            ran = run(command[0], annotated_parts, *command[1:], "-o", target)
            assert (ran.code, last.name in ran.err) == (2, True), ran.err
            assert not (tmp_path / "new").exists()
            assert names(existing) == []
