"""Input that changes while it is read ends in a sentence that names it, not in a killed process."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.errors import OnnxFileError
from modelexport.rewriter.container import Edits, OnnxContainer, part_writing
from tests.helpers.handmade import parse

SIDE = 1024


def large_model(folder: Path, **options: object) -> Path:
    """A file of more than a megabyte, nearly all of it one weight."""
    model = parse("g (float[2, M] x) => (float[2, M] y) { a = MatMul(x, w) y = Relu(a) }")
    weight = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    onnx.save(model, folder / "m.onnx", **options)
    return folder / "m.onnx"


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path) -> None:
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").replace(path)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"x")
    os.utime(path, ns=(0, 0))


CHANGES = [
    (shorten, "shorter"),
    (replace, "changed"),
    (rewrite, "changed"),
    (Path.unlink, "removed"),
]


def use_and_change(source: Path, change: Callable[[Path], None], word: str) -> None:
    """Change a file while it is open, then read a weight of it and write a copy."""
    with OnnxContainer.open(source) as container:
        change(source)
        if change is shorten:
            with pytest.raises(OnnxFileError, match=r"m\.onnx: became shorter"):
                container.array(container.skeleton().graph.initializer[0])
        with pytest.raises(OnnxFileError, match=rf"m\.onnx.*{word}"):
            container.write(source.with_name("out.onnx"), Edits())
        assert not source.with_name("out.onnx").exists()


def fail_and_change(source: Path, failure: BaseException) -> None:
    """Fail while a file is open that has become shorter."""
    with OnnxContainer.open(source) as container:
        assert container.array(container.skeleton().graph.initializer[0]) is not None
        shorten(source)
        raise failure


@pytest.mark.parametrize(("change", "word"), CHANGES)
def test_a_changed_file_is_named(tmp_path: Path, change: Callable[[Path], None], word: str) -> None:
    """Reading a weight, writing a copy and leaving tell of the change, and no file is left."""
    source = large_model(tmp_path)
    with pytest.raises(OnnxFileError, match=word) as caught:
        use_and_change(source, change, word)
    assert str(caught.value).startswith(f"{source}: ")


def test_the_reason_of_an_error_is_the_change(tmp_path: Path) -> None:
    """An error that a changed file may have caused gives way to the change; Ctrl-C does not."""
    with pytest.raises(OnnxFileError, match="shorter"):
        fail_and_change(large_model(tmp_path), ValueError())
    with pytest.raises(KeyboardInterrupt):
        fail_and_change(large_model(tmp_path), KeyboardInterrupt())


@pytest.mark.parametrize("change", [shorten, replace, Path.unlink])
def test_a_change_behind_the_last_read_is_no_error(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """The copy is complete: what then happens to the source does no harm."""
    source = large_model(tmp_path)
    expected = source.read_bytes()
    with OnnxContainer.open(source) as container:
        container.write(tmp_path / "out.onnx", Edits())
        change(source)
    assert (tmp_path / "out.onnx").read_bytes() == expected


def test_external_data_that_is_short_is_named(tmp_path: Path) -> None:
    """The file with the data is named, not the output."""
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    shorten(tmp_path / "m.data")
    with (
        OnnxContainer.open(source) as container,
        pytest.raises(OnnxFileError, match=r"m\.data: ends at byte"),
    ):
        container.array(container.skeleton().graph.initializer[0])


@pytest.mark.parametrize("entry", [("offset", "-1"), ("length", "9" * 5000), ("offset", "x")])
def test_places_that_are_no_numbers(tmp_path: Path, entry: tuple[str, str]) -> None:
    """An offset or length that no file can have is refused."""
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    model = onnx.load(source, load_external_data=False)
    (tensor,) = model.graph.initializer
    for present in tensor.external_data:
        if present.key == entry[0]:
            present.value = entry[1]
    source.write_bytes(model.SerializeToString())
    with OnnxContainer.open(source) as container, pytest.raises(OnnxFileError, match="no number"):
        container.array(container.skeleton().graph.initializer[0])


@pytest.mark.parametrize("location", ["x" * 300, "a\0b"])
def test_locations_that_no_file_can_have(tmp_path: Path, location: str) -> None:
    """The name of a file is too long, or holds what ends it."""
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    model = onnx.load(source, load_external_data=False)
    (tensor,) = model.graph.initializer
    (entry,) = (present for present in tensor.external_data if present.key == "location")
    entry.value = location
    source.write_bytes(model.SerializeToString())
    with (
        OnnxContainer.open(source) as container,
        pytest.raises(OnnxFileError, match="no possible place"),
    ):
        container.array(container.skeleton().graph.initializer[0])


def test_data_that_is_a_link_to_itself(tmp_path: Path) -> None:
    """Nothing is there; Python before 3.13 raises another error than of files."""
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    (tmp_path / "m.data").unlink()
    (tmp_path / "m.data").symlink_to("m.data")
    with (
        OnnxContainer.open(source) as container,
        pytest.raises(OnnxFileError, match=r"m\.data"),
    ):
        container.array(container.skeleton().graph.initializer[0])


def test_pipes_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A pipe in the place of a model or of its data has no writer: opening it would never end."""
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(OnnxFileError, match="pipe"), OnnxContainer.open(tmp_path / "pipe.onnx"):
        pass
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    (tmp_path / "m.data").unlink()
    os.mkfifo(tmp_path / "m.data")
    with OnnxContainer.open(source) as container:
        for read in (
            lambda: container.array(container.skeleton().graph.initializer[0]),
            container.external_files,
        ):
            with pytest.raises(OnnxFileError, match=r"m\.data.*pipe"):
                read()


def test_data_of_a_part_that_becomes_shorter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The range that is copied to another folder ends too early: no part is left."""
    source = large_model(tmp_path, save_as_external_data=True, location="m.data")
    copy_range = part_writing.copy_range

    def copy_behind_a_change(descriptor: int, sink: int, start: int, length: int) -> None:
        shorten(tmp_path / "m.data")
        copy_range(descriptor, sink, start, length)

    monkeypatch.setattr(part_writing, "copy_range", copy_behind_a_change)
    (tmp_path / "away").mkdir()
    with OnnxContainer.open(source) as container:
        model = onnx.ModelProto()
        model.CopyFrom(container.skeleton())
        with pytest.raises(OnnxFileError, match=r"m\.data: became shorter"):
            container.write_part(tmp_path / "away" / "p.onnx", model)
    assert list((tmp_path / "away").iterdir()) == []
