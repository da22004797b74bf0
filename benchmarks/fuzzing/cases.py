"""Running commands on damaged files, in forked processes with limits, and judging how they end."""

import faulthandler
import io
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzzing.mutations import mutate

SECONDS = 20
"""Time limit of a case."""

MEMORY = 6 << 30
"""Limit of the address space of a worker, in bytes."""

_CASES_PER_WORKER = 50
_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_ANNOTATE = ("annotate", "plain.onnx", "--record", "record.json", "-o", "new.onnx")
COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("analyze", name) for name in ("plain.onnx", "annotated.onnx", "all.onnx", "out.onnx")),
    *(("analyze", "all.onnx", "--output-format", kind) for kind in ("csv", "markdown", "table")),
    *(("validate", name) for name in ("annotated.onnx", "all.onnx")),
    ("validate", "annotated.onnx", "--check-consistency", "--record", "record.json"),
    *(("strip", name, "-o", "new.onnx") for name in ("annotated.onnx", "all.onnx", "out.onnx")),
    ("strip", "all.onnx", "-o", "new.onnx", "--only", "functions"),
    _ANNOTATE,
    (*_ANNOTATE, "--no-run", "--inject", "functions"),
    ("annotate", "all.onnx", "-o", "new.onnx"),
    ("annotate", "plain.onnx", "--from", "annotated.onnx", "-o", "new.onnx", "--no-run"),
    ("compare", "annotated.onnx", "all.onnx", "--no-run"),
    ("batch", "plan.toml", "--dry-run"),
    ("trace", "nothing.py:make", "new.onnx", "--config", "config.json"),
)
KINDS = {".onnx": "onnx", ".json": "json", ".toml": "text"}


class Finding(NamedTuple):
    """A case that ended as none may.

    Attributes:
        seed: Number of the case.
        command: The command and its arguments.
        file: The damaged file.
        fault: What was wrong.
    """

    seed: int
    command: str
    file: str
    fault: str


def run_cases(numbers: Iterable[int], seeds: Path, corpus: Path | None = None) -> Iterator[Finding]:
    """Run cases and give those that ended wrongly.

    Args:
        numbers: Each is one case, the same at every run.
        seeds: The folder with good files.
        corpus: A folder for the damaged files of findings; None to keep none.
    """
    waiting = list(numbers)
    while waiting:
        share, waiting = waiting[:_CASES_PER_WORKER], waiting[_CASES_PER_WORKER:]
        done, findings = _run_worker(share, seeds, corpus)
        yield from findings
        if done < len(share):
            command, file = _choose(_source(share[done]), seeds)
            yield Finding(share[done], " ".join(command), file.name, "the process died")
            waiting = share[done + 1 :] + waiting


def _run_worker(numbers: list[int], seeds: Path, corpus: Path | None) -> tuple[int, list[Finding]]:
    """Run cases in a forked process; gives how many it finished, and what it found."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        _work(numbers, seeds, corpus, writing)
    os.close(writing)
    with os.fdopen(reading, errors="backslashreplace") as lines:
        answers = [line.rstrip("\n").split("\t", 2) for line in lines]
    os.waitpid(process, 0)
    findings = []
    for number, (seed, fault, *_) in zip(numbers, answers, strict=False):
        if fault:
            command, file = _choose(_source(number), seeds)
            findings.append(Finding(int(seed), " ".join(command), file.name, fault))
    return len(answers), findings


def _work(numbers: list[int], seeds: Path, corpus: Path | None, answers: int) -> None:
    """What a worker does: one line for each case. It never returns."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for number in numbers:
            fault = " ".join((_run_case(number, seeds, corpus) or "").split())
            os.write(answers, f"{number}\t{fault}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(0)


def _source(number: int) -> random.Random:
    """What decides everything about a case."""
    return random.Random(number)  # noqa: S311 - no secret


def _choose(source: random.Random, seeds: Path) -> tuple[tuple[str, ...], Path]:
    """The command of a case, and the file that it damages."""
    command = source.choice(COMMANDS)
    files = [seeds / name for name in command if (seeds / name).is_file()]
    return command, source.choice(files)


def _run_case(number: int, seeds: Path, corpus: Path | None) -> str | None:
    """Run one case; gives its fault, None when it ended well."""
    source = _source(number)
    command, file = _choose(source, seeds)
    damaged = mutate(file.read_bytes(), KINDS[file.suffix], source)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in seeds.iterdir():
            (folder / seed.name).symlink_to(seed) if seed.suffix != ".bin" else shutil.copy(
                seed, folder
            )
        (folder / file.name).unlink()
        (folder / file.name).write_bytes(damaged)
        os.chdir(folder)
        before = {p.name for p in Path().iterdir()}
        fault = _judge(command, before)
        os.chdir("/")
    if fault is not None and corpus is not None:
        (corpus / f"{number}.{file.name}").write_bytes(damaged)
    return fault


def _judge(command: tuple[str, ...], before: set[str]) -> str | None:
    code, out, err = _run_command(command)
    new = {p.name for p in Path().iterdir()} - before
    if code not in {0, 1, 2}:
        return f"exit code {code}: {err[-300:]}"
    if "unexpected" in err:
        return err[-300:]
    if _OBEYED.search(out + err):
        return "characters that a terminal obeys"
    if code == 2 and new:
        return f"it failed and left {', '.join(sorted(new))}"
    if any(name.endswith(".part") for name in new):
        return "an unfinished file is left"
    return None


def _run_command(command: tuple[str, ...]) -> tuple[object, str, str]:
    from modelexport.cli.main import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    signal.signal(signal.SIGALRM, _raise_timeout)
    signal.alarm(SECONDS)
    try:
        code: object = main(list(command))
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - what passes `main` is a finding
        code = traceback.format_exc()[-300:]
    finally:
        signal.alarm(0)
        sys.stdout, sys.stderr = before
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(errors="replace"))  # type: ignore[attr-defined]
    return code, texts[0], texts[1]


class _TimeoutReached(BaseException):
    pass


def _raise_timeout(*_: object) -> None:
    raise _TimeoutReached
