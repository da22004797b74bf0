"""What cannot be cut out, or does not run, leaves no file behind; damaged types do not stop it."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from modelexport.errors import FileProblem, RuntimeFailedError
from modelexport.rewriter import extract, split
from tests.helpers.commands import Run

LATER_LAYERS = [["layer.0"], ["layer.1"]]


def damaged(annotated: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A changed copy of a file, beside it."""
    model = onnx.load(annotated)
    change(model)
    onnx.save(model, annotated.with_name("damaged.onnx"))
    return annotated.with_name("damaged.onnx")


def without_runtime(model: onnx.ModelProto) -> None:
    """A node of an operator that no runtime has, whose output has a type."""
    last = model.graph.node[-1]
    last.op_type, last.domain = "Unheard", "of.nobody"
    model.opset_import.add(domain="of.nobody", version=1)


def test_a_part_that_cannot_be_checked_is_not_left(annotated: Path, tmp_path: Path) -> None:
    """Neither the part nor the inputs, when the whole file does not run."""
    file = damaged(annotated, without_runtime)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeFailedError):
        extract(file, "layer.0", tmp_path / "p.onnx", check=True, save_inputs=tmp_path / "in.npz")
    assert sorted(tmp_path.iterdir()) == before


def test_inputs_are_refused_before_the_part_is_written(annotated: Path, tmp_path: Path) -> None:
    """A name that exists is no reason for half a result."""
    (tmp_path / "in.npz").write_bytes(b"")
    with pytest.raises(FileProblem, match=r"in\.npz: exists already"):
        extract(annotated, "layer.0", tmp_path / "p.onnx", save_inputs=tmp_path / "in.npz")
    assert not (tmp_path / "p.onnx").exists()


@pytest.mark.parametrize("existing", [False, True])
def test_parts_appear_together_or_not_at_all(
    annotated: Path, tmp_path: Path, existing: bool
) -> None:
    """A new folder is not made, and one that exists gets no file, when the parts do not run."""
    file = damaged(annotated, without_runtime)
    folder = tmp_path / "new" / "parts"
    if existing:
        folder.mkdir(parents=True)
        (folder / "own.txt").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RuntimeFailedError):
        split(file, folder, LATER_LAYERS, check=True)
    assert sorted(tmp_path.rglob("*")) == before
    result = split(annotated, folder, LATER_LAYERS, check=True)
    written = {part.file for part in result.parts} | {"manifest.json"}
    own = {"own.txt"} if existing else set()
    assert {entry.name for entry in folder.iterdir()} == written | own
    assert [entry.suffix for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_parts_beside_the_whole_refer_to_its_data(annotated: Path, tmp_path: Path) -> None:
    """Weights that lie in the folder of the parts already are not copied, and are checked."""
    whole = tmp_path / "whole" / "m.onnx"
    whole.parent.mkdir()
    model = onnx.load(annotated)
    onnx.save(model, whole, save_as_external_data=True, location="w", size_threshold=0)
    beside = split(whole, whole.parent, LATER_LAYERS, check=True)
    away = split(whole, tmp_path / "away", LATER_LAYERS, check=True)
    assert (beside.equal, away.equal) == (True, True)
    assert list(whole.parent.glob("*.data")) == []
    assert len(list((tmp_path / "away").glob("*.data"))) == len(away.parts)


def test_existing_parts_need_force(annotated: Path, tmp_path: Path) -> None:
    """The first file that exists is named; with force all are replaced."""
    split(annotated, tmp_path / "s", LATER_LAYERS)
    with pytest.raises(FileProblem, match=r"manifest\.json: exists already"):
        split(annotated, tmp_path / "s", LATER_LAYERS)
    (tmp_path / "s" / "manifest.json").unlink()
    with pytest.raises(FileProblem, match=r"part_0\.onnx: exists already"):
        split(annotated, tmp_path / "s", LATER_LAYERS)
    assert len(split(annotated, tmp_path / "s", LATER_LAYERS, force=True).parts) == 2
    assert (tmp_path / "s" / "manifest.json").exists()


def unknown_domain(model: onnx.ModelProto) -> None:
    del model.graph.value_info[:]
    model.graph.node[1].domain = "of.nobody"


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 255


def unsorted_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, model.graph.node.pop())


@pytest.mark.parametrize("change", [unknown_domain, unknown_type, unsorted_nodes])
@pytest.mark.parametrize("command", ["extract", "split"])
def test_damaged_graphs_are_one_sentence(
    run: Run,
    annotated: Path,
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], None],
    command: str,
) -> None:
    """What onnx cannot infer, types without a name, nodes in a wrong order: no unexpected error."""
    file = damaged(annotated, change)
    what = ["layer.0"] if command == "extract" else ["--parts", "2"]
    code, _, err = run(command, file, *what, "-o", tmp_path / "new")
    assert "unexpected" not in err
    assert code == (0 if (tmp_path / "new").exists() else 2)
    assert err.startswith("modelexport: ") == (code == 2)
