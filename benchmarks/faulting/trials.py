"""One trial: a command, a fault at a random moment, and what was wrong after it."""

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faulting.full_disk import mounted_small_disk
from faulting.runs import Ended, Running, give_to_nobody, run
from faulting.scenes import Scene, copy_folder, files_in

WHOLE, NONE, BEFORE = "output whole", "no output", "before it began"
SWEPT = "no output, swept later"
_PART = re.compile(r"(.*/)?\.modelexport\.[^/]*\.part/.*")
_WHILE_WRITING = 0.5
"""Share of the moments that lie in the time in which files are written."""
_SHORTEST_LIMIT = 1000
"""Bytes: the sentence about the error goes into a file, too."""
_STOPPED = "modelexport: stopped.\n"


class Bench(NamedTuple):
    """Where trials are made.

    Attributes:
        scene: The command, with its reference.
        inputs: A folder with the inputs, which is copied for each trial.
        folder: The working folder.
        seconds: How long the command takes without a fault.
        source: Decides the moments.
    """

    scene: Scene
    inputs: Path
    folder: Path
    seconds: float
    source: random.Random

    def moment(self) -> float:
        """A moment of the command, in seconds from its start."""
        return self.source.uniform(0, self.seconds)

    def disturb(self, event: Callable[[Running], None]) -> Ended:
        """Run the command, and do something at a random moment: half of the times while it writes.

        Args:
            event: What is done with the running command.
        """
        running = Running(self.scene.arguments, self.folder)
        if self.source.random() < _WHILE_WRITING:
            end = time.monotonic() + 5 * self.seconds
            while time.monotonic() < end and not self._has_part():
                time.sleep(0.0005)
            time.sleep(self.source.uniform(0, self.seconds / 5))
        else:
            time.sleep(self.moment())
        event(running)
        return running.wait()

    def _has_part(self) -> bool:
        """Whether a file is being written."""
        folders = (self.folder, self.folder / "sub")
        return any(e.name.endswith(".part") for f in folders for e in os.scandir(f))

    def prepare(self) -> None:
        """Make the working folder anew."""
        copy_folder(self.inputs, self.folder)

    def new_files(self) -> dict[str, bytes]:
        """What is in the working folder besides the inputs."""
        before = files_in(self.inputs)
        return {path: data for path, data in files_in(self.folder).items() if path not in before}


class Trial(NamedTuple):
    """What a trial showed.

    Attributes:
        outcome: How it ended, in words for the table.
        problem: What was wrong; None when nothing was.
    """

    outcome: str
    problem: str | None = None


def kill(bench: Bench) -> Trial:
    """SIGKILL; the outputs are whole or absent, and the next run sweeps what is left."""
    bench.prepare()
    bench.disturb(lambda running: running.kill(signal.SIGKILL))
    left = bench.new_files()
    parts = {path for path in left if _PART.fullmatch(path)}
    written = {path: data for path, data in left.items() if path not in parts}
    if wrong := _unfinished(bench.scene, written):
        return Trial(NONE, f"left {wrong}")
    outcome = WHOLE if written else SWEPT if parts else NONE
    return Trial(outcome, _next_run(bench, exists=bool(written)))


def _unfinished(scene: Scene, written: dict[str, bytes]) -> str | None:
    """The first file that is none of the reference."""
    return next((path for path, data in written.items() if scene.reference.get(path) != data), None)


def _next_run(bench: Bench, *, exists: bool) -> str | None:
    """What is wrong with the next run of the same command, which needs force for whole files."""
    arguments = bench.scene.arguments
    if exists:
        refused = run(arguments, bench.folder)
        if refused.code == 2 and not refused.is_one_sentence:
            return f"the next run said {refused.err!r}"
        arguments = [*arguments, "--force"]
    ended = run(arguments, bench.folder)
    if ended.code:
        return f"the next run ended with {ended.code}: {ended.err!r}"
    left = bench.new_files()
    if left != bench.scene.reference:
        return f"after the next run there is {sorted(left)}"
    return None


def stop(number: signal.Signals) -> Callable[[Bench], Trial]:
    """Trials of a signal that asks to end."""

    def trial(bench: Bench) -> Trial:
        bench.prepare()
        ended = bench.disturb(lambda running: running.kill(number))
        left = bench.new_files()
        if ended.code == 0:
            return Trial(WHOLE, None if left == bench.scene.reference else f"left {sorted(left)}")
        if left and (wrong := _unfinished(bench.scene, left)):
            return Trial(NONE, f"left {wrong}: {ended.err!r}")
        whole = left == bench.scene.reference
        if ended.code == -number and (whole or not ended.err):
            return Trial(WHOLE if whole else BEFORE)  # as the command began, or had done all
        expected = ended.err == _STOPPED or (whole and ended.err.endswith(f"\n{_STOPPED}"))
        good = ended.code == 128 + number and expected
        outcome = WHOLE if left else NONE
        return Trial(outcome, None if good else f"exit code {ended.code}: {ended.err!r}")

    return trial


def change_input(change: Callable[[Path], None]) -> Callable[[Bench], Trial]:
    """Trials in which the input changes while it is read."""

    def trial(bench: Bench) -> Trial:
        bench.prepare()
        file = bench.folder / bench.scene.weights
        ended = bench.disturb(lambda _: change(file))
        return _judge(bench, ended, named=file.name)

    return trial


def _judge(bench: Bench, ended: Ended, named: str = "") -> Trial:
    """A run may do its work, or refuse it in one sentence and leave nothing.

    Args:
        bench: Where it ran.
        ended: How it ended.
        named: What the sentence has to contain.
    """
    left = bench.new_files()
    if ended.code == 0:
        missing = bench.scene.reference.keys() ^ left.keys()
        return Trial(WHOLE, f"it succeeded, but {sorted(missing)}" if missing else None)
    if ended.code != 2 or not ended.is_one_sentence:
        return Trial(NONE, f"exit code {ended.code}: {ended.err[-300:]!r}")
    if "unexpected" in ended.err or named not in ended.err:
        return Trial(NONE, f"it said {ended.err!r}")
    return Trial(NONE, f"left {sorted(left)}" if left else None)


def truncate(file: Path) -> None:
    """Cut a file in half."""
    os.truncate(file, file.stat().st_size // 2)


def replace(file: Path) -> None:
    """Put another file in the place of one."""
    other = file.with_name("another")
    other.write_bytes(file.read_bytes()[::-1])
    other.replace(file)


def remove(file: Path) -> None:
    """Remove a file."""
    file.unlink()


def limit_files(bench: Bench) -> Trial:
    """The system refuses files beyond a random size."""
    bench.prepare()
    largest = max(map(len, bench.scene.reference.values()))
    limit = bench.source.randrange(_SHORTEST_LIMIT, max(largest, _SHORTEST_LIMIT + 1))
    ended = run(bench.scene.arguments, bench.folder, file_limit=limit)
    return _judge(bench, ended)


def fill_disk(bench: Bench) -> Trial:
    """The outputs go to a disk that is too small for them."""
    bench.prepare()
    needed = sum(map(len, bench.scene.reference.values()))
    room = 4096 * (1 + bench.source.randrange(max(1, needed // 4096)))
    places = [output.partition("/")[0] for output in bench.scene.outputs]
    disk = bench.folder / "disk"
    disk.mkdir()
    arguments = [f"disk/{a}" if a.partition("/")[0] in places else a for a in bench.scene.arguments]
    with mounted_small_disk(disk, room):
        (disk / "sub").mkdir()
        ended = run(arguments, bench.folder)
        left = {path for path in files_in(disk) if path != "sub/"}
    if ended.code == 0:
        return Trial(WHOLE)
    good = ended.code == 2 and ended.is_one_sentence and "full" in ended.err and not left
    return Trial(NONE, None if good else f"{ended.code}: {ended.err!r}, left {sorted(left)}")


def lose_permission(bench: Bench) -> Trial:
    """The folder of the output cannot be written any more."""
    bench.prepare()
    give_to_nobody(bench.folder)
    running = Running(bench.scene.arguments, bench.folder, as_nobody=True)
    time.sleep(bench.moment())
    folders = [bench.folder, bench.folder / "sub"]
    for folder in folders:
        folder.chmod(0o500)
    ended = running.wait()
    for folder in folders:
        folder.chmod(0o700)
    left = bench.new_files()
    if ended.code == 0:
        return Trial(WHOLE, None if left == bench.scene.reference else f"left {sorted(left)}")
    if ended.code != 2 or not ended.is_one_sentence or "permission" not in ended.err.lower():
        return Trial(NONE, f"exit code {ended.code}: {ended.err!r}")
    written = {path: data for path, data in left.items() if not _PART.fullmatch(path)}
    if wrong := _unfinished(bench.scene, written):
        return Trial(NONE, f"left {wrong}")
    return Trial(SWEPT if left else NONE, _next_run(bench, exists=bool(written)))


def write_twice(*options: str) -> Callable[[Bench], Trial]:
    """Trials of two processes that write the same outputs."""

    def trial(bench: Bench) -> Trial:
        bench.prepare()
        arguments = [*bench.scene.arguments, *options]
        first = Running(arguments, bench.folder)
        time.sleep(bench.source.uniform(0, bench.seconds / 2))
        other = bench.folder.with_name("second")
        other.unlink(missing_ok=True)
        other.symlink_to(bench.folder)
        ended = [Running(arguments, other).wait(), first.wait()]
        codes = sorted(e.code for e in ended)
        left = bench.new_files()
        if left != bench.scene.reference:
            return Trial(NONE, f"codes {codes}, left {sorted(left)}: {[e.err for e in ended]}")
        if options:
            return Trial("both succeed", None if codes == [0, 0] else f"codes {codes}")
        good = codes == [0, 2] and all(e.is_one_sentence for e in ended if e.code)
        problem = None if good else f"codes {codes}: {[e.err for e in ended]}"
        return Trial("the second fails", problem)

    return trial


def clean(folder: Path) -> None:
    """Remove a working folder, whatever its permissions."""
    shutil.rmtree(folder, ignore_errors=True)
