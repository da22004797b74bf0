"""Files appear whole or not at all, and what cannot be written is said in one sentence."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelexport.errors import FileProblem
from modelexport.support.files import atomic_replacement, check_target


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def interrupted(part: Path, raised: type[BaseException]) -> None:
    part.write_text("half")
    raise raised


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """The target is not there before the body ends, and holds what it wrote afterwards."""
    target = tmp_path / "out.txt"
    with atomic_replacement(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_the_body_raises(tmp_path: Path, raised: type[BaseException]) -> None:
    """Whatever ends the body, the folder is as it was."""
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(raised), atomic_replacement(target, force=True) as part:
        interrupted(part, raised)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a write takes the half-written file away."""
    code = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from modelexport.support.files import atomic_replacement
with atomic_replacement(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert len(names(tmp_path)) == 1
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert names(tmp_path) == []


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    """Without force nothing is overwritten, not even a broken link."""
    for name, target in (("a", tmp_path / "file"), ("b", tmp_path / "link")):
        if name == "a":
            target.write_text("old")
        else:
            target.symlink_to(tmp_path / "nowhere")
        with pytest.raises(FileProblem, match="--force"), atomic_replacement(target):
            pass
        with atomic_replacement(target, force=True) as part:
            part.write_text("new")
        assert target.read_text() == "new"
        assert not target.is_symlink()


def test_an_input_is_never_the_output(tmp_path: Path) -> None:
    """Not even with force, nor by another name of the same file."""
    source = tmp_path / "in"
    source.write_text("in")
    link, hard = tmp_path / "link", tmp_path / "hard"
    link.symlink_to(source)
    hard.hardlink_to(source)
    for target in (source, link, hard, tmp_path / "." / "in"):
        with pytest.raises(FileProblem, match="also an input"):  # noqa: SIM117
            with atomic_replacement(target, force=True, inputs=[source]):
                pass
    assert source.read_text() == "in"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Folders, pipes and devices are not replaced, even with force."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target, why in ((tmp_path, "a folder"), (pipe, "not a regular file")):
        with pytest.raises(FileProblem, match=why), atomic_replacement(target, force=True):
            pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A missing folder, a file in the place of one, and a name that is too long."""
    (tmp_path / "file").write_text("")
    for target, why in (
        (tmp_path / "missing" / "out", "no such folder"),
        (tmp_path / "file" / "out", "not a folder"),
        (tmp_path / ("n" * 300), "too long"),
    ):
        with pytest.raises(FileProblem, match=why) as caught, atomic_replacement(target) as part:
            part.write_text("x")
        assert str(caught.value).startswith(str(target))
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "size limit"),
        (errno.EROFS, "read-only"),
    ],
)
def test_errors_of_the_disk_become_sentences(tmp_path: Path, code: int, why: str) -> None:
    """What the system says while writing is told in the user's words."""
    with pytest.raises(FileProblem, match=why), atomic_replacement(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert names(tmp_path) == []


def test_a_target_can_be_checked_before_the_work(tmp_path: Path) -> None:
    """What would be refused at the end is refused at once, and nothing is created."""
    (tmp_path / "old").touch()
    for target, why in (
        (tmp_path / "old", "--force"),
        (tmp_path, "a folder"),
        (tmp_path / "missing" / "out", "no such folder"),
        (tmp_path / "old" / "out", "not a folder"),
    ):
        with pytest.raises(FileProblem, match=why):
            check_target(target)
    check_target(tmp_path / "new")
    check_target(tmp_path / "old", force=True)
    assert names(tmp_path) == ["old"]


def test_errors_about_other_files_pass(tmp_path: Path) -> None:
    """A body that cannot read something else is not said to be unable to write."""
    with pytest.raises(FileNotFoundError), atomic_replacement(tmp_path / "out"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(ConnectionRefusedError), atomic_replacement(tmp_path / "out"):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no")
    assert names(tmp_path) == []


def test_permission_bits(tmp_path: Path) -> None:
    """Those of the source when asked, else what the process gives any new file."""
    source, copy, new, usual = (tmp_path / name for name in ("source", "copy", "new", "usual"))
    source.touch(mode=0o640)
    source.chmod(0o640)
    with atomic_replacement(copy, mode_of=source) as part:
        part.touch()
    with atomic_replacement(new) as part:
        part.touch()
    usual.touch()
    assert source.stat().st_mode == copy.stat().st_mode
    assert usual.stat().st_mode == new.stat().st_mode


WRITING = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from modelexport.support.files import atomic_replacement
with atomic_replacement(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_the_second_of_two_writers_fails(tmp_path: Path) -> None:
    """Without force a file that appeared meanwhile stays; with force it is replaced."""
    target = tmp_path / "out"
    for force, expected in ((False, "first"), (True, "second")):
        target.unlink(missing_ok=True)
        with ExitStack() as second:
            if not force:
                second.enter_context(pytest.raises(FileProblem, match="exists already; --force"))
            part = second.enter_context(atomic_replacement(target, force=force))
            with atomic_replacement(target, force=force) as first:
                first.write_text("first")
            part.write_text("second")
        assert target.read_text() == expected
        assert names(tmp_path) == ["out"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    """The next writer in the folder removes it, but not what another one is still writing."""
    command = [sys.executable, "-c", WRITING, str(tmp_path / "out")]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as killed,
        subprocess.Popen(command, stdout=subprocess.PIPE) as running,
    ):
        for process in (killed, running):
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
        killed.kill()
        killed.wait()
        assert len(names(tmp_path)) == 2
        with atomic_replacement(tmp_path / "other") as part:
            part.write_text("whole")
        running_part, other = names(tmp_path)
        assert running_part.endswith(".part")
        assert (tmp_path / other).read_text() == "whole"
        running.kill()
    with atomic_replacement(tmp_path / "other", force=True) as part:
        part.write_text("whole")
    assert names(tmp_path) == ["other"]


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer in the folder may sweep in the moment between the two."""
    make, swept = tempfile.mkdtemp, []

    def make_and_sweep(**options: str) -> str:
        folder = make(**options)
        if not swept:
            swept.append(folder)
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_sweep)
    with atomic_replacement(tmp_path / "out") as part:
        part.write_text("whole")
    assert len(swept) == 1
    assert names(tmp_path) == ["out"]
