"""A file that becomes shorter while a library has it mapped ends the command with a sentence."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import environment

TOUCHING = """
import mmap, sys
from pathlib import Path
from modelexport.support.files import atomic_replacement
from modelexport.support.lost_memory import add_mapped_files, exit_on_lost_memory
from modelexport.support.part_folders import WrittenFile, removed_on_error

file, size = Path("weights"), 1 << 20
file.write_bytes(bytes(size))
Path("written").write_text("whole")
handled, noted = (word in sys.argv for word in ("handled", "noted"))

def touch():
    with open(file, "r+b") as stream, mmap.mmap(stream.fileno(), size) as mapped:
        add_mapped_files([file] if noted else [])
        file.write_bytes(b"short")
        with atomic_replacement(Path("new")), removed_on_error([WrittenFile.at(Path("written"))]):
            print(mapped[size // 2])

if handled:
    with exit_on_lost_memory(lambda text: print(text, file=sys.stderr, flush=True)):
        touch()
else:
    touch()
"""


def touch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a process that reads what a mapped file does not have any more."""
    line = [sys.executable, "-c", TOUCHING, *words]
    env = environment()
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_file_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    """No unfinished file stays, and none that an error would remove."""
    ran = touch(tmp_path, "handled", "noted")
    assert (ran.returncode, ran.stderr) == (2, "weights: became shorter while it was read.\n")
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


@pytest.mark.parametrize("words", [("handled",), ("noted",)])
def test_other_lost_memory_ends_the_process_as_ever(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Nobody asked for the sentence, or it is about no file that is known."""
    ran = touch(tmp_path, *words)
    assert (ran.returncode, ran.stderr) == (-signal.SIGBUS, "")
