"""Faults while commands write: they are killed, stopped, starved; their input changes under them.

Each trial is one run of a command in a new folder, and one fault at a random moment of it. Then
the outputs must be whole or absent, and the exit code and the one sentence right; what a killed
process left is swept by the next run. The table has the trials by fault and command.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from faulting.fault_table import FAULTS
from faulting.full_disk import can_mount
from faulting.rows import RowId, jobs_of, row_lines, run_jobs
from faulting.runs import load_all
from faulting.scenes import SCENES, Scene, write_inputs
from faulting.trials import Trial

_FULL = "disk full"


def main() -> None:
    """Make the trials that the arguments ask for; exits with 1 if one showed a problem."""
    options = _arguments()
    names = options.fault or list(FAULTS)
    if _FULL in names and not can_mount():
        print("file systems cannot be mounted here; without one there are no trials of a full disk")
        names.remove(_FULL)
    rows = [RowId(name, scene) for name in names for scene in _scenes(options.scene)]
    with tempfile.TemporaryDirectory(dir=_memory()) as place:
        root = Path(place)
        root.chmod(0o755)
        inputs = root / "inputs"
        inputs.mkdir()
        write_inputs(inputs)
        scenes = {row.scene.name: row.scene for row in rows}
        load_all([scene.arguments for scene in scenes.values()], root / "work", inputs)
        jobs = list(jobs_of(rows, options.trials))
        futures = run_jobs(jobs, root, options.seed, options.jobs)
    trials: dict[RowId, list[Trial]] = {row: [] for row in rows}
    for job, future in zip(jobs, futures, strict=True):
        trials[job.row] += future.result()
    print("| fault | command | trials | outcomes | problems |")
    print("|---|---|---:|---|---:|")
    for row, row_trials in trials.items():
        print("\n".join(row_lines(row, row_trials)))
    print("\n".join(_summary(trials)))
    sys.exit(
        any(trial.problem is not None for row_trials in trials.values() for trial in row_trials)
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="of each fault and command")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one")
    parser.add_argument("--scene", action="append", help="only commands with this name")
    parser.add_argument("--jobs", type=int, default=1, help="processes that make trials")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _scenes(names: Sequence[str] | None) -> list[Scene]:
    """The commands with these names, or all; those that trace a model need torch."""
    scenes = [scene for scene in SCENES if not names or scene.name in names]
    if find_spec("torch") is None:
        without = [scene.name for scene in scenes if scene.needs_torch]
        print(f"torch is not installed; without it there are no trials of: {', '.join(without)}")
        scenes = [scene for scene in scenes if not scene.needs_torch]
    return scenes


def _memory() -> str | None:
    folder = Path("/dev/shm")  # noqa: S108 - for folders with random names
    return str(folder) if folder.is_dir() else None


def _summary(trials: Mapping[RowId, Sequence[Trial]]) -> Iterator[str]:
    """All commands together, by fault."""
    commands, counts, problems = Counter[str](), Counter[str](), Counter[str]()
    for row, row_trials in trials.items():
        commands[row.fault] += 1
        counts[row.fault] += len(row_trials)
        problems[row.fault] += sum(trial.problem is not None for trial in row_trials)
    yield from ("", "| fault | commands | trials | problems |", "|---|---:|---:|---:|")
    for fault, count in counts.items():
        yield f"| {fault} | {commands[fault]} | {count} | {problems[fault]} |"


if __name__ == "__main__":
    main()
