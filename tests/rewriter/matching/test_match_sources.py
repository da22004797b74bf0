"""What matching may look at besides the graph, opened as options say."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from modelexport.errors import RecordError, RuntimeFailedError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.record import Record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.matching import match_sources
from modelexport.rewriter.matching.match_sources import MatchSources, open_sources, read_inputs
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.values import fingerprint

NAMES = frozenset({EvidenceKind.NAMES})
X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(two_layers(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def valued(record: Record, array: np.ndarray) -> Record:
    """The record with a value of the first op."""
    first = msgspec.structs.replace(record.ops[0], values=(fingerprint(array),))
    return msgspec.structs.replace(record, ops=(first, *record.ops[1:]))


def opened(file: Path, options: MatchOptions, record: Record | None = None) -> MatchSources:
    """The sources, after they were closed again."""
    with OnnxContainer.open(file) as container:
        record = record or two_layers_record()
        with open_sources(container, container.skeleton(), record, options) as sources:
            return sources


def test_by_default_there_is_nothing_to_look_at() -> None:
    """All kinds of evidence may be used as far as the graph goes."""
    sources = MatchSources()
    assert sources.read(onnx.TensorProto()) is None
    sources.prepare()
    assert (sources.observe, sources.reference, sources.inputs) == (None, None, None)
    assert (sources.evidence, sources.not_run_because) == (frozenset(EvidenceKind), "")


def test_weights_are_read_and_values_observed(file: Path) -> None:
    """On inputs that the matching chooses."""
    with OnnxContainer.open(file) as container:
        model, options = container.skeleton(), MatchOptions(evidence=NAMES)
        with open_sources(container, model, two_layers_record(), options) as sources:
            weight = sources.read(model.graph.initializer[0])
            assert weight is not None
            assert weight.shape == (4, 4)
            assert sources.observe is not None
            sources.prepare()
            known = sources.observe({"x": X}, 1e30)
    assert known["", "x"] == fingerprint(X)
    assert known["", "h0"].shape == (3, 4)
    assert (sources.evidence, sources.not_run_because) == (NAMES, "")
    assert (sources.reference, sources.inputs) == (None, None)


def test_a_file_that_may_not_run_is_only_read(file: Path) -> None:
    """The user asked for it."""
    sources = opened(file, MatchOptions(run=False, evidence=NAMES))
    assert (sources.observe, sources.reference, sources.inputs) == (None, None, None)
    assert (sources.evidence, sources.not_run_because) == (NAMES, "--no-run was given")
    with OnnxContainer.open(file) as container:
        weight = container.skeleton().graph.initializer[0]
        assert sources.read.__func__ is OnnxContainer.array
        assert container.array(weight) is not None


def test_options_are_checked_first(file: Path) -> None:
    """Unknown evidence is no evidence."""
    with pytest.raises(UsageError, match="Unknown evidence kind 'magic'"):
        opened(file, MatchOptions(evidence=frozenset({"magic"})))


def test_the_reference_must_be_the_traced_file(file: Path, tmp_path: Path) -> None:
    """Its digest is the record's."""
    other = two_layers()
    other.graph.node[3].op_type = "Tanh"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(RecordError) as caught:
        opened(file, MatchOptions(reference=tmp_path / "other.onnx"))
    assert str(caught.value) == (
        f"{tmp_path / 'other.onnx'}: not the plain file of the record; the reference must be the "
        "file that was traced."
    )


def test_the_reference_is_run_on_given_inputs(file: Path, tmp_path: Path) -> None:
    """Both files get the inputs that the user brings."""
    np.savez(tmp_path / "own.npz", x=X)
    options = MatchOptions(reference=file, probe=tmp_path / "own.npz")
    with OnnxContainer.open(file) as container:
        model = container.skeleton()
        with open_sources(container, model, two_layers_record(), options) as sources:
            assert sources.reference is not None
            assert sources.observe is not None
            assert sources.reference({"x": X}, 1e30) == sources.observe({"x": X}, 1e30)
            assert sources.reference is not sources.observe
    assert sources.inputs is not None
    [(name, array)] = sources.inputs
    assert name == "x"
    assert np.array_equal(array, X)


def test_libraries_are_loaded_for_both_runs(file: Path, tmp_path: Path) -> None:
    """One that is missing is named by the runtime."""
    missing = tmp_path / "missing.so"
    options = MatchOptions(reference=file, libraries=(missing,))
    with OnnxContainer.open(file) as container:
        model = container.skeleton()
        with open_sources(container, model, two_layers_record(), options) as sources:
            for observe in (sources.observe, sources.reference):
                assert observe is not None
                with pytest.raises(RuntimeFailedError, match=r"missing\.so"):
                    observe({"x": X}, 1e30)


@pytest.mark.parametrize("with_reference", [False, True])
def test_recorded_values_are_expected_without_a_reference(
    file: Path, with_reference: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no sorting; their size and the memory decide how many are fetched at a time."""
    made = []

    class Observer:
        def __init__(
            self,
            _: object,
            __: object,
            size: int,
            ___: object,
            expected: Iterable[object] = (),
            memory: int | None = None,
        ) -> None:
            made.append((size, len(list(expected)), memory))
            self.fingerprints = self.prepare = len

    monkeypatch.setattr(match_sources, "Observer", Observer)
    options = MatchOptions(reference=file if with_reference else None)
    opened(file, options, valued(two_layers_record(), X))
    expected = [(48, 0), (48, 0)] if with_reference else [(48, 1)]
    assert made == [(*sizes, options.memory) for sizes in expected]


def test_inputs_are_read_from_an_archive(tmp_path: Path) -> None:
    """By their names; text becomes strings as the runtime takes them."""
    np.savez(tmp_path / "own.npz", x=X, words=np.array(["a", "bc"]))
    actual = dict(read_inputs(tmp_path / "own.npz"))
    assert np.array_equal(actual["x"], X)
    assert actual["words"].dtype == object
    assert actual["words"].tolist() == ["a", "bc"]
    assert actual["x"].dtype == np.float32


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04 cut off", np.arange(3), [None]])
def test_what_is_no_archive_is_refused(content: object, tmp_path: Path) -> None:
    """A file of another kind, a single array, objects that would run code."""
    path = tmp_path / "own.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        with path.open("wb") as stream:
            np.save(stream, content)
    else:
        np.savez(path, x=np.array(content, object))
    with pytest.raises(UsageError) as caught:
        list(read_inputs(path))
    assert str(caught.value).startswith(f"{path}: not an .npz file of arrays by input name (")
    with pytest.raises(UsageError, match="there is no such file"):
        list(read_inputs(tmp_path / "none.npz"))


def test_an_entry_that_is_no_array_is_refused(tmp_path: Path) -> None:
    """Numpy gives the bytes of such an entry."""
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(UsageError, match=r"x is no array"):
        list(read_inputs(tmp_path / "own.npz"))


def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    """Nothing waits for what someone may write into it."""
    os.mkfifo(tmp_path / "own.npz")
    with pytest.raises(UsageError, match=r"own\.npz: not a regular file"):
        list(read_inputs(tmp_path / "own.npz"))


def test_a_single_array_is_said_to_be_one(tmp_path: Path) -> None:
    """An .npy file has no names of inputs."""
    with (tmp_path / "own.npz").open("wb") as stream:
        np.save(stream, X)
    with pytest.raises(UsageError, match=r"\(it holds a single array\)\.$"):
        list(read_inputs(tmp_path / "own.npz"))


def test_inputs_that_unpack_to_too_many_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before they are unpacked; the limit itself is allowed, and both numbers are told."""
    np.savez_compressed(tmp_path / "in.npz", x=X)
    with zipfile.ZipFile(tmp_path / "in.npz") as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    monkeypatch.setattr(match_sources, "MAX_INPUT_BYTES", size)
    assert [name for name, _ in read_inputs(tmp_path / "in.npz")] == ["x"]
    monkeypatch.setattr(match_sources, "MAX_INPUT_BYTES", size - 1)
    with pytest.raises(UsageError, match=f"{size:,} bytes, more than {size - 1:,}"):
        list(read_inputs(tmp_path / "in.npz"))
