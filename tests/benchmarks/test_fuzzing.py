"""Damaged files: some hundred cases of `make fuzz`, and what its judge would notice."""

from pathlib import Path

import modelexport.rewriter  # noqa: F401 - loaded before workers are forked
from fuzzing import cases
from fuzzing.mutations import mutate
from fuzzing.seeds import write_seeds

CASES = range(1_000_000, 1_000_150)
"""Other cases than those that `make fuzz` runs first."""


def test_damaged_files_end_well(tmp_path: Path) -> None:
    """No command crashes, hangs, calls its error unexpected or leaves something."""
    write_seeds(tmp_path)
    assert list(cases.run_cases(CASES, tmp_path)) == []


def test_damage_is_the_same_at_every_run(tmp_path: Path) -> None:
    """A case is its number; what it makes differs from the good file, nearly always."""
    write_seeds(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert files
    for file in files:
        kind = cases.KINDS.get(file.suffix, "text")
        data = file.read_bytes()
        runs = [[mutate(data, kind, cases._source(n)) for n in range(20)] for _ in range(2)]
        assert runs[0] == runs[1]
        assert sum(damaged != data for damaged in runs[0]) > 10


def test_faults_are_noticed(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """A worker that dies is a finding, and the cases behind it still run."""
    write_seeds(tmp_path)
    run_case = cases._run_case

    def dying(number: int, *rest: Path | None) -> str | None:
        return cases.os._exit(9) if number == 2 else run_case(number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cases, "_run_case", dying)
    monkeypatch.setattr(cases, "COMMANDS", (("analyze", "plain.onnx"),))
    (finding,) = cases.run_cases(range(5), tmp_path)
    assert (finding.seed, finding.fault) == (2, "the process died")
