"""What a report reads besides the file: profiles, comparisons and code, and what it refuses."""

import json
import os
from pathlib import Path

import onnx
import pytest

from modelexport import report
from modelexport.hierarchy import keys
from modelexport.hierarchy.source_lines import encode_lines
from tests.helpers.commands import Run


def test_times_and_errors_are_measures(annotated: Path, tmp_path: Path, run: Run) -> None:
    """What profile and compare print is shown by module."""
    (tmp_path / "p.json").write_text(
        run("profile", annotated, "--runs", "2", "--output-format", "json").out
    )
    compared = run("compare", annotated, annotated, "--numeric", "--output-format", "json")
    (tmp_path / "c.json").write_text(compared.out)
    (file,) = report(
        annotated,
        tmp_path / "r.html",
        profile=tmp_path / "p.json",
        comparison=tmp_path / "c.json",
    )
    times = {m["tag"]: m["time"] for m in json.loads((tmp_path / "p.json").read_text())["modules"]}
    assert times
    assert {m.tag: m.time for m in file.modules if m.time is not None} == times
    assert any(module.error == 0 for module in file.modules)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--profile", "net.json"], "net.json: it is not the JSON of modelexport profile"),
        (["--comparison", "absent.json"], "absent.json: it cannot be read"),
        (["--source-root", "absent"], "absent: there is no such folder"),
    ],
)
def test_bad_input_is_one_sentence(
    annotated: Path, working_folder: Path, run: Run, arguments: list[str], reason: str
) -> None:
    """Exit code 2, and no page is left."""
    (working_folder / "net.json").write_text("{}")
    result = run("report", annotated, "-o", "r.html", *arguments)
    assert result.code == 2
    assert result.err.startswith(f"modelexport: {reason}")
    assert not (working_folder / "r.html").exists()


def test_code_outside_of_the_folder_is_not_read(annotated: Path, tmp_path: Path) -> None:
    """Source lines of a hostile file name other files in vain."""
    model = onnx.load(annotated)
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "net.py").write_text("secret")
    os.mkfifo(inside / "pipe.py")
    for node in model.graph.node:
        names = ("../net.py", f"{tmp_path}/net.py", "pipe.py", "a\0b.py", f"{'a' * 5000}.py")
        lines = encode_lines([f"{name}:1" for name in names])
        node.metadata_props.add(key=keys.SOURCE, value=lines)
    onnx.save(model, tmp_path / "m.onnx")
    (file,) = report(tmp_path / "m.onnx", tmp_path / "r.html", source_root=inside)
    assert any(module.lines for module in file.modules)
    assert file.code == {}
    assert b"secret" not in (tmp_path / "r.html").read_bytes()
