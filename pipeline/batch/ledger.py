"""What has been done: an entry for each job, by content, so that `--resume` can leave it alone."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from modelexport.errors import FileProblem, UsageError
from modelexport.pipeline.batch.digests import MISSING, content_digest, options_digest
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.support.files import atomic_replacement, check_target, write_problem

FOLDER = ".batch"
"""Within the folder of results; everything in it is ours."""


class Entry(msgspec.Struct):
    """What is known of a job that was done.

    Attributes:
        options: Digest of what it was told.
        outcome: What came of it.
    """

    options: str
    outcome: Outcome


class Ledger:
    """The entries of a folder of results, and the places for what is under way.

    Args:
        out: The folder of results.
        folder: The plan's folder, from which paths of inputs start.
    """

    def __init__(self, out: Path, folder: Path) -> None:
        self._out = out
        self._folder = folder
        self._home = out / FOLDER
        self.logs = self._home / "logs"
        self._scratch = self._home / "scratch"
        self._entries = self._home / "done"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the folder of results for one run; what an interrupted one left goes.

        Raises:
            UsageError: Another run is at it.
            FileProblem: The folder cannot be made.
        """
        try:
            for folder in (self.logs, self._scratch, self._entries):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self._home / "lock").open("w")
        except OSError as error:
            raise write_problem(self._out, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"{self._out}: another batch run is writing there.") from error
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def scratch(self, job: Job, run: str) -> Path:
        """A new folder for what a job writes until it is complete."""
        made = self._scratch / f"{job.id}.{run}"
        made.mkdir()
        return made

    def discard(self, job: Job, run: str) -> None:
        """Drop what a job has written there, which is no result."""
        shutil.rmtree(self._scratch / f"{job.id}.{run}", ignore_errors=True)

    def entry(self, job: Job) -> Entry | None:
        """What is known of a job, if it was ever complete."""
        try:
            return msgspec.json.decode(self._path(job).read_bytes(), type=Entry)
        except (FileNotFoundError, msgspec.DecodeError):
            return None  # one that cannot be read says nothing: the job is done again

    def reason_to_do(self, job: Job) -> str | None:
        """Why a job must be done (again); None when it is done and nothing has changed."""
        entry = self.entry(job)
        if entry is None:
            return "not done yet"
        if entry.outcome.state is not State.DONE:
            return f"ended with {entry.outcome.state}"
        if entry.options != options_digest(job):
            return "its options or the installed packages changed"
        for path, digest in entry.outcome.inputs.items():
            if content_digest(self._folder / path) != digest:
                return f"{path} changed"
        for name, digest in entry.outcome.files.items():
            if (now := content_digest(self._out / name)) != digest:
                return f"{name} is {'missing' if now == MISSING else 'another'}"
        return None

    def check_targets(self, job: Job, *, resume: bool, force: bool) -> None:
        """Refuse to write over files that no run of this plan wrote.

        Raises:
            FileProblem: A file is in the way.
        """
        entry = self.entry(job) if resume else None
        ours = set() if entry is None else set(entry.outcome.files)
        for name in job.outputs():
            target = self._out / name
            if target.exists() and name not in ours and not force:
                raise FileProblem(
                    f"{target}: exists already; --force overwrites it, and --resume leaves alone "
                    "what is done."
                )
            if self._out.is_dir():
                check_target(target, force=True)

    def commit(self, job: Job, outcome: Outcome, scratch: Path) -> None:
        """Move a complete job's files to their places and write it down.

        An entry that names other files goes first, the new one comes last: whatever happens
        between, `--resume` does the job again.

        Raises:
            FileProblem: A file cannot be moved to its place.
        """
        self._path(job).unlink(missing_ok=True)
        for name in sorted(outcome.files, key=lambda n: (n.endswith(".onnx"), n)):
            try:
                (scratch / name).replace(
                    self._out / name
                )  # weights before the file that reads them
            except OSError as error:
                raise write_problem(self._out / name, error) from error
        entry = Entry(options_digest(job), outcome)
        with atomic_replacement(self._path(job), force=True) as part:
            part.write_bytes(msgspec.json.encode(entry) + b"\n")

    def _path(self, job: Job) -> Path:
        return self._entries / f"{job.id}.json"

    def _sweep(self) -> None:
        for left in self._scratch.iterdir():
            shutil.rmtree(left, ignore_errors=True)
