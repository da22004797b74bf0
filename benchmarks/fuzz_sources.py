"""Run trace on damaged sources in torch: no crash, no hang, no unexpected error, nothing left over.

A case is a number: it decides the command, the file of the source that is damaged and how. Each
runs in a process that is forked from one that has torch and transformers loaded. Findings are
printed by kind; their files are kept in `temp/fuzz_sources/findings`.
"""

import argparse
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
import msgspec

from fuzzing.cases import KINDS
from fuzzing.commands import Command
from fuzzing.judging import build_commands_once, find_fault, plain_words, run_command
from fuzzing.mutations import mutate
from fuzzing.source_seeds import write_source_seeds

MEMORY = 6 << 30
"""Bytes of address space that a case may take besides what the process starts with."""
_RECORD = ("--record-only", "new.json")
_TORCHSCRIPT = ("new.onnx", "--exporter", "torchscript")
_COMMANDS = tuple(
    Command(("trace", source, *rest))
    for source, rest in (
        ("net", (*_RECORD, "--input-text", "some words")),
        ("net", (*_RECORD, "--no-weights")),
        ("net", (*_TORCHSCRIPT, "--task", "text-generation")),
        ("net", ("new.onnx", "--dry-run")),
        ("sharded", _RECORD),
        ("adapter", _RECORD),
        ("net.py:make", _TORCHSCRIPT),
        ("net.py:make", _RECORD),
        ("net.pt", (*_RECORD, "--input-shape", "input=2x8")),
    )
)


class SourceCase(NamedTuple):
    """What is run: a command, the file that is damaged, and its content."""

    command: Command
    file: Path
    data: bytes


def main() -> None:
    """Run the cases that the arguments ask for; exits with 1 for findings."""
    options = _arguments()
    huggingface_hub.constants.HF_HUB_OFFLINE = True  # its variable was read at the import
    findings = options.out / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    kinds, endings, cases = dict[str, list[str]](), set[str](), 0
    with tempfile.TemporaryDirectory() as scratch:
        seeds = Path(scratch, "seeds")
        write_source_seeds(seeds)
        _warm_up(seeds, Path(scratch, "work"))
        end = time.monotonic() + options.seconds
        for number in range(options.first, options.first + options.cases):
            if time.monotonic() > end:
                break
            case = _make_case(number, seeds)
            fault, ending = _run(case, seeds, Path(scratch, "work"))
            cases += 1
            endings.add(ending)
            if fault is not None:
                name = f"{number}.{str(case.file).replace('/', '.')}"
                (findings / name).write_bytes(case.data)
                kinds.setdefault(plain_words(fault), []).append(f"{name}: {case.command}: {fault}")
    print(
        f"{cases} cases, {len(endings)} kinds of endings, {sum(map(len, kinds.values()))} findings"
    )
    for group in sorted(kinds.values(), key=len, reverse=True):
        print(f"{len(group)} times, first {' '.join(group[0].split())}")
    sys.exit(1 if kinds else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first number")
    parser.add_argument("--seconds", type=float, default=1e9, help="when no case is begun any more")
    parser.add_argument("--out", type=Path, default=Path("temp/fuzz_sources"))
    return parser.parse_args()


def _warm_up(seeds: Path, work: Path) -> None:
    """Load in this process what the commands load.

    Raises:
        SystemExit: A command refuses its good source.
    """
    build_commands_once()
    before = Path.cwd()
    for command in _COMMANDS:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(seeds, work)
        os.chdir(work)
        ended = run_command(command)
        os.chdir(before)
        if ended.code:
            sys.exit(f"{command} fails on the good source: {ended.code} {ended.err}")


def _make_case(number: int, seeds: Path) -> SourceCase:
    source = random.Random(number)  # noqa: S311 - no secret
    command = source.choice(_COMMANDS)
    place = command.arguments[1].partition(":")[0]
    files = sorted((seeds / place).iterdir()) if (seeds / place).is_dir() else [seeds / place]
    chosen = source.choice(files)
    file, data = chosen.relative_to(seeds), chosen.read_bytes()
    if file.suffix == ".safetensors" and source.random() < 0.6:
        return SourceCase(command, file, _damage_header(data, source))
    return SourceCase(command, file, mutate(data, KINDS.get(file.suffix, "bytes"), source))


def _damage_header(data: bytes, source: random.Random) -> bytes:
    """Damage the JSON in front of safetensors' numbers; its length stays right."""
    (length,) = struct.unpack_from("<Q", data)
    header = mutate(data[8 : 8 + length], "json", source)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _run(case: SourceCase, seeds: Path, work: Path) -> tuple[str | None, str]:
    """Run a case in a forked process; what was wrong, and the kind of its ending."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(seeds, work)
    (work / case.file).write_bytes(case.data)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.chdir(work)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            limit = int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            before = set(_names(Path()))
            ended = run_command(case.command)
            fault = find_fault(case.command, ended, set(_names(Path())) - before)
            answer = msgspec.json.encode((fault, ended.signature(case.command)))
            os.write(writing, answer[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read()
    _, status = os.waitpid(process, 0)
    if not answer:
        return f"the process died with status {status}", "died"
    fault, ending = msgspec.json.decode(answer)
    return fault, ending


def _names(folder: Path) -> Iterator[str]:
    """The files and folders in a folder, without what Python keeps of its code."""
    for entry in os.scandir(folder):
        if entry.name != "__pycache__":
            yield entry.name


if __name__ == "__main__":
    main()
