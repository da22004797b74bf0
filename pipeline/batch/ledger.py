"""The ledger of a folder of results: which jobs are done, and with which content.

`--resume` reads it to leave alone what is done. It also has the folders for work in progress.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.part_manifest import MANIFEST
from modelexport.pipeline.batch.digests import MISSING, content_digest, options_digest
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.support.files import atomic_replacement, check_target, write_error

FOLDER = ".batch"
"""The ledger's folder within the folder of results. Everything in it belongs to the ledger."""


class Entry(msgspec.Struct, frozen=True):
    """What the ledger knows about a job that was completed.

    Attributes:
        options: Digest of what the job was told to do.
        outcome: How it ended.
    """

    options: str
    outcome: Outcome


class Ledger:
    """The entries of a folder of results, and the folders for work in progress.

    Args:
        out: The folder of results.
        folder: The plan's folder, which paths of inputs are relative to.

    Attributes:
        logs: The folder of the jobs' logs.
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
        """Lock the folder of results for one run, and remove what an interrupted run left.

        Raises:
            UsageError: Another run is writing there.
            FileProblem: The folder cannot be made.
        """
        try:
            for folder in (self.logs, self._scratch, self._entries):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self._home / "lock").open("w")
        except OSError as error:
            raise write_error(self._out, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"{self._out}: another batch run is writing there.") from error
            self._clear_scratch()
            try:
                yield
            finally:
                self._clear_scratch()

    def make_scratch(self, job: Job, run: str) -> Path:
        """Make the folder for what a job writes until it is complete."""
        folder = self._scratch_of(job, run)
        folder.mkdir()
        return folder

    def discard_scratch(self, job: Job, run: str) -> None:
        """Remove that folder and what the job has written into it."""
        shutil.rmtree(self._scratch_of(job, run), ignore_errors=True)

    def entry(self, job: Job) -> Entry | None:
        """The entry of a job; None if it was never complete."""
        try:
            return msgspec.json.decode(self._path(job).read_bytes(), type=Entry)
        except (FileNotFoundError, msgspec.DecodeError):
            return None  # an entry that cannot be read counts as none: the job is done again

    def reason_to_do(self, job: Job) -> str | None:
        """Why a job must be done; None when it is done and nothing has changed since."""
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
            current = content_digest(self._out / name)
            if current != digest:
                return f"{name} {'is missing' if current == MISSING else 'has changed'}"
        return None

    def check_targets(self, job: Job, *, resume: bool, force: bool) -> None:
        """Refuse to overwrite files that no run of this plan wrote.

        Raises:
            FileProblem: A file exists already.
        """
        entry = self.entry(job) if resume else None
        written_before = set() if entry is None else set(entry.outcome.files)
        written_before |= {name.partition("/")[0] for name in written_before}  # folders of parts
        for name in job.outputs():
            target = self._out / name
            if target.exists() and name not in written_before and not force:
                raise FileProblem(
                    f"{target}: exists already; --force overwrites it, and --resume leaves alone "
                    "what is done."
                )
            if self._out.is_dir():
                is_folder = job.parts and target.is_dir()
                check_target(target / MANIFEST if is_folder else target, force=True)

    def commit(self, job: Job, outcome: Outcome, scratch: Path) -> None:
        """Move a complete job's files to their places, and write its entry.

        An entry that says "stopped" is written first, and the true one last. When the run is
        interrupted in between, `--resume` knows whose files there are, and does the job again.

        Raises:
            FileProblem: A file cannot be moved to its place.
        """
        self._write_entry(job, msgspec.structs.replace(outcome, state=State.STOPPED))
        # the file of weights goes before the model that reads it
        for name in sorted(outcome.files, key=lambda name: (name.endswith(".onnx"), name)):
            try:
                (self._out / name).parent.mkdir(exist_ok=True)
                (scratch / name).replace(self._out / name)
            except OSError as error:
                raise write_error(self._out / name, error) from error
        self._write_entry(job, outcome)

    def _write_entry(self, job: Job, outcome: Outcome) -> None:
        entry = Entry(options_digest(job), outcome)
        with atomic_replacement(self._path(job), force=True) as part:
            part.write_bytes(msgspec.json.encode(entry) + b"\n")

    def _path(self, job: Job) -> Path:
        return self._entries / f"{job.id}.json"

    def _scratch_of(self, job: Job, run: str) -> Path:
        return self._scratch / f"{job.id}.{run}"

    def _clear_scratch(self) -> None:
        for folder in self._scratch.iterdir():
            shutil.rmtree(folder, ignore_errors=True)
