"""Two commands that write to one place with `--force`: each checks its own; the last one stays."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest

from modelexport.errors import FileProblem
from modelexport.rewriter import extract, split
from modelexport.rewriter.extraction.part_check import PartCheck
from modelexport.support.folders import staged_files
from modelexport.support.part_folders import PREFIX


@pytest.fixture
def during_check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Runs something else, once, just before a written part is checked."""
    different = PartCheck.different

    def set_other(other: Callable[[], object]) -> None:
        others = [other]

        def run_other_first(*arguments: object) -> list[str]:
            while others:
                others.pop()()
            return different(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(PartCheck, "different", run_other_first)

    return set_other


@pytest.fixture(params=["inline", "external", "inline beside", "external beside"])
def whole(request: pytest.FixtureRequest, annotated: Path, tmp_path: Path) -> Path:
    """The annotated file, beside the parts or elsewhere, with external data or without."""
    folder = tmp_path / ("out" if "beside" in request.param else "whole")
    folder.mkdir()
    (tmp_path / "out").mkdir(exist_ok=True)
    external = {"save_as_external_data": True, "location": "w", "size_threshold": 0}
    is_external = request.param.startswith("external")
    onnx.save(onnx.load(annotated), folder / "m.onnx", **(external if is_external else {}))
    return folder / "m.onnx"


def _nodes(path: Path) -> list[str]:
    onnx.checker.check_model(path, full_check=True)
    return [node.name for node in onnx.load(path).graph.node]


def _leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(PREFIX)]


def test_the_check_of_a_part_is_not_disturbed(
    whole: Path, tmp_path: Path, during_check: Callable[[Callable[[], object]], None]
) -> None:
    """Another process writes another module to the same name meanwhile: both succeed."""
    target, reference = tmp_path / "out" / "part.onnx", tmp_path / "out" / "reference.onnx"
    extract(whole, "layer.0", reference)
    during_check(lambda: extract(whole, "layer.1", target, force=True))
    assert extract(whole, "layer.0", target, check=True, force=True).equal
    assert _nodes(target) == _nodes(reference)
    assert extract(target, "layer.0", tmp_path / "again.onnx", check=True).equal
    assert _leftovers(tmp_path) == []


def test_the_check_of_a_split_is_not_disturbed(
    whole: Path, tmp_path: Path, during_check: Callable[[Callable[[], object]], None]
) -> None:
    """Likewise for parts of another division; the manifest fits the parts that are left."""
    folder = tmp_path / "out"
    during_check(lambda: split(whole, folder, [["layer.0", "layer.1"]], force=True))
    result = split(whole, folder, [["layer.0"], ["layer.1"]], check=True, force=True)
    assert result.equal
    assert [len(_nodes(folder / part.file)) for part in result.parts] == [
        part.nodes for part in result.parts
    ]
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    assert [part["file"] for part in manifest["parts"]] == [part.file for part in result.parts]
    assert _leftovers(tmp_path) == []


def test_a_file_that_fails_its_check_leaves_the_earlier_one(
    annotated: Path, tmp_path: Path, during_check: Callable[[Callable[[], object]], None]
) -> None:
    """`--force` replaces a file only by a complete one."""
    target = tmp_path / "part.onnx"
    extract(annotated, "layer.0", target)
    before = target.read_bytes()

    def fail() -> None:
        raise MemoryError

    during_check(fail)
    with pytest.raises(MemoryError):
        extract(annotated, "layer.1", target, check=True, force=True)
    assert target.read_bytes() == before
    assert _leftovers(tmp_path) == []


def test_a_whole_is_not_split_onto_itself(annotated: Path, tmp_path: Path) -> None:
    """Not even with `--force`: a part would have the name of the file that is read."""
    folder = tmp_path / "parts"
    folder.mkdir()
    whole = folder / "part_1.onnx"
    whole.write_bytes(annotated.read_bytes())
    with pytest.raises(FileProblem, match=r"part_1\.onnx: the output is also an input"):
        split(whole, folder, [["layer.0"], ["layer.1"]], force=True)
    assert whole.read_bytes() == annotated.read_bytes()
    assert list(folder.iterdir()) == [whole]


def test_files_of_two_writers_are_not_mixed(tmp_path: Path) -> None:
    """All files that are left are those of one writer, whenever the others moved theirs."""
    names = [f"{number}.txt" for number in range(20)]
    barrier = threading.Barrier(4)

    def write(writer: str) -> None:
        with staged_files(tmp_path, force=True) as stage:
            for name in names:
                (stage / name).write_text(writer)
            barrier.wait()

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert len({(tmp_path / name).read_text() for name in names}) == 1
