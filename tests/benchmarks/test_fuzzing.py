"""Damaged files: some thousand cases of `make fuzz`, and what its judge would notice."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import workers
from fuzzing.cases import KINDS, Seeds, make_case
from fuzzing.commands import COMMANDS, Command
from fuzzing.jobs import run_share
from fuzzing.judging import Ending, find_fault
from fuzzing.mutations import mutate
from fuzzing.results import Finding, Share
from fuzzing.seeds import write_seeds
from fuzzing.workers import warm_up
from modelexport.errors import ModelExportError
from modelexport.hierarchy.record import decode_record
from modelexport.rewriter import analyze

FIRST, CASES = 1_000_000_000, 2000
"""Other cases than those that `make fuzz` runs first."""
ANALYZE = Command(("analyze", "plain.onnx"))


Warmed = tuple[Seeds, dict[Command, Ending]]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Warmed:
    """Small good files of every kind, and how each command ended that ran on them."""
    folder = tmp_path_factory.mktemp("seeds")
    write_seeds(folder)
    seeds = Seeds.read(folder)
    return seeds, warm_up(seeds)


@pytest.fixture(scope="module")
def seeds(warmed: Warmed) -> Seeds:
    """The good files; all that the commands need is loaded for them."""
    return warmed[0]


def test_all_commands_take_the_good_files(warmed: Warmed) -> None:
    """A command that refuses them would test nothing. Those with a model in torch have none."""
    endings = {c: e for c, e in warmed[1].items() if c.name not in {"trace", "export"}}
    assert len(endings) > len(COMMANDS) / 2
    assert [f"{c}: {e.err}" for c, e in endings.items() if e.code not in {0, 1}] == []


def test_damaged_files_end_well(seeds: Seeds) -> None:
    """No command crashes, hangs, calls its error unexpected or leaves something."""
    tally = run_share(Share(range(FIRST, FIRST + CASES)), seeds)
    assert tally.findings == []
    assert tally.cases.total() == CASES
    assert set(tally.cases) == {command.name for command in COMMANDS}


@settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(source=st.randoms(use_true_random=False))
def test_hypothesis_finds_no_wrong_end(seeds: Seeds, tmp_path: Path, source: random.Random) -> None:
    """A damaged file and a damaged record are read, or refused by an error of ours."""
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(mutate(seeds.files["all.onnx"], "onnx", source))
    record = mutate(seeds.files["record.json"], "json", source)
    assert _ends_well(lambda: analyze(damaged).nodes)
    assert _ends_well(lambda: decode_record(record, "r").ops)


def _ends_well(read: Callable[[], object]) -> bool:
    """Whether something is read, or refused by an error of ours; other errors are raised."""
    try:
        return read() is not None
    except ModelExportError:
        return True


def _source(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311 - no secret


def test_damage_is_the_same_at_every_run(seeds: Seeds) -> None:
    """A case is its number; what it makes differs from the good file, nearly always."""
    assert seeds.files
    for file, data in seeds.files.items():
        kind = KINDS.get(Path(file).suffix, "bytes")
        runs = [[mutate(data, kind, _source(n)) for n in range(20)] for _ in range(2)]
        assert runs[0] == runs[1]
        assert sum(damaged != data for damaged in runs[0]) > 10
    assert make_case((7, 1), seeds) == make_case((7, 1), seeds) != make_case((7, 2), seeds)


def test_files_of_the_corpus_are_damaged_further(seeds: Seeds, tmp_path: Path) -> None:
    """What told something new is kept under its case's number; the next run starts from it."""
    numbers = range(5, 40, 7)
    tally = run_share(Share(numbers, derive=True, corpus=tmp_path), seeds)
    kept = [file.name for file in tmp_path.iterdir()]
    assert tally.findings == []
    assert len(kept) == len(tally.kinds) > len(numbers)
    assert any(name.startswith("5.") and name[2].isdigit() for name in kept)
    assert sum(map(len, Seeds.read(tmp_path, tmp_path).corpus.values())) == len(kept)


def test_a_case_that_ends_its_worker_is_found(
    seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies is a finding, and the cases behind it still run."""
    run_case = workers._run_case
    third = make_case((2,), seeds)

    def dying(case, *rest):  # type: ignore[no-untyped-def]
        return os._exit(9) if case == third else run_case(case, *rest)

    monkeypatch.setattr(workers, "_run_case", dying)
    tally = run_share(Share(range(5)), seeds)
    died = Finding("2", str(third.command), third.file, "the process died (exit code 9)")
    assert tally.findings == [died]
    assert tally.cases.total() == 5


@pytest.mark.parametrize(
    ("ending", "left", "fault"),
    [
        (Ending(3, "", "", b"", 0), set(), "exit code 3"),
        (Ending(2, "", "modelexport: unexpected KeyError: 1\n", b"", 0), set(), "unexpected"),
        (Ending(2, "", "modelexport: a.onnx: no.\n", b"", 0), {"new"}, "left new"),
        (Ending(2, "", "Error\n", b"", 0), set(), "no sentence"),
        (Ending(2, "", "modelexport: no.\n", b"x", 0), set(), "after printing"),
        (Ending(0, "\x1b[1m", "", b"", 0), set(), "terminal"),
        (Ending(0, "", "", b"", 0), {".a.part"}, "unfinished"),
        (Ending(0, "", "", b"", 0), {"cut.json"}, "not complete"),
        (Ending(1, "fine", "note", b"fine", 0), set(), None),
    ],
)
def test_wrong_endings_are_noticed(
    working_folder: Path, ending: Ending, left: set[str], fault: str | None
) -> None:
    """The judge names what is wrong, and only that."""
    (working_folder / "cut.json").write_text("{")
    actual = find_fault(ANALYZE, ending, left)
    assert actual is None if fault is None else fault in str(actual)
