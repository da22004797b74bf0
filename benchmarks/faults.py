"""Faults while commands write: they are killed, stopped, starved; their input changes under them.

Each trial is one run of a command in a new folder, and one fault at a random moment of it. Then
the outputs must be whole or absent, and the exit code and the one sentence right; what a killed
process left is swept by the next run. The table has the trials by fault and command.
"""

import argparse
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from faulting import trials
from faulting.full_disk import can_mount
from faulting.runs import load_all, run
from faulting.scenes import SCENES, Scene, copy_folder, files_in, write_inputs
from faulting.trials import Bench, Trial

FAULTS: dict[str, Callable[[Bench], Trial]] = {
    "kill -9": trials.kill,
    "SIGINT": trials.stop(signal.SIGINT),
    "SIGTERM": trials.stop(signal.SIGTERM),
    "SIGHUP": trials.stop(signal.SIGHUP),
    "input truncated": trials.change_input(trials.truncate),
    "input replaced": trials.change_input(trials.replace),
    "input removed": trials.change_input(trials.remove),
    "file size limit": trials.limit_files,
    "disk full": trials.fill_disk,
    "permission lost": trials.lose_permission,
    "two writers": trials.write_twice(),
    "two writers, --force": trials.write_twice("--force"),
}


def main() -> None:
    """Make the trials that the arguments ask for; exits with 1 if one showed a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="of each fault and command")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one")
    parser.add_argument("--scene", action="append", help="only commands with this name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.fault or [name for name in FAULTS if name != "disk full" or can_mount()]
    scenes = [scene for scene in SCENES if not options.scene or scene.name in options.scene]
    problems = 0
    print("| fault | command | trials | outcomes | problems |")
    print("|---|---|---:|---|---:|")
    with tempfile.TemporaryDirectory(dir=_memory()) as place:
        root = Path(place)
        root.chmod(0o755)
        inputs = root / "inputs"
        inputs.mkdir()
        write_inputs(inputs)
        load_all([scene.arguments for scene in scenes], root / "work", inputs)
        benches = [_bench(scene, inputs, root / "work", options.seed) for scene in scenes]
        for name in names:
            for bench in benches:
                row = [FAULTS[name](bench) for _ in range(options.trials)]
                problems += sum(trial.problem is not None for trial in row)
                print("\n".join(_lines(name, bench.scene.name, row)), flush=True)
        trials.clean(root / "work")
    sys.exit(1 if problems else 0)


def _memory() -> str | None:
    folder = Path("/dev/shm")  # noqa: S108 - for folders with random names
    return str(folder) if folder.is_dir() else None


def _bench(scene: Scene, inputs: Path, folder: Path, seed: int) -> Bench:
    """Run a command twice without faults: what it writes, and how long it takes.

    Raises:
        SystemExit: It fails, or does not write the same files each time.
    """
    found, seconds = [], []
    for _ in range(3):
        copy_folder(inputs, folder)
        ended = run(scene.arguments, folder)
        if ended.code:
            sys.exit(f"{scene.name} fails without a fault: {ended.err}")
        before = files_in(inputs)
        found.append({p: data for p, data in files_in(folder).items() if p not in before})
        seconds.append(ended.seconds)
    if found[-1] != found[-2]:
        sys.exit(f"{scene.name} does not write the same files each time")
    reference = replace(scene, reference=found[-1])
    source = random.Random(f"{seed} {scene.name}")  # noqa: S311 - no secret
    return Bench(reference, inputs, folder, min(seconds), source)


def _lines(fault: str, scene: str, row: Sequence[Trial]) -> Iterator[str]:
    """The row of the table, and the problems below it."""
    outcomes = ", ".join(f"{n} {o}" for o, n in Counter(t.outcome for t in row).most_common())
    problems = Counter(trial.problem for trial in row if trial.problem is not None)
    yield f"| {fault} | {scene} | {len(row)} | {outcomes} | {problems.total()} |"
    for problem, count in problems.most_common(5):
        yield f"    {count} x {problem}"


if __name__ == "__main__":
    main()
