"""Batch runs on this machine: what they make, what they leave alone, and what cannot hurt them."""

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import onnx
import psutil
import pytest

from fixtures_gen.schema import SCHEMAS, schema_text
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.pipeline.batch.digests import content_digest
from modelexport.rewriter import analyze
from tests.helpers.batching import (
    job_rows,
    read_summary,
    run_batch,
    unfinished_files,
    write_plan,
    write_sources,
)
from tests.helpers.commands import packages_loaded_by, running_command

if TYPE_CHECKING:
    import subprocess

GOOD = {"tiny", "exported", "plain", "last"}
GOOD_PARTS = {"generating", "generated", "parts"}
BAD = {
    "broken": ("failed", "no such weights"),
    "dying": ("failed", "exit code 3"),
    "endless": ("timeout", "1.5 s"),
    "greedy": ("memory", "1.5 GiB"),
    "untagged": ("faults", "no node carries a tag"),
    "untagged-parts": ("faults", "encoder: "),
}


def test_bad_jobs_hurt_no_others(mixed: tuple[Path, int, str, str]) -> None:
    """Whatever a bad job does, the good jobs are done. Each bad job says why; exit code 1."""
    folder, code, _, _ = mixed
    jobs = job_rows(folder)
    assert code == 1
    assert set(jobs) == GOOD | GOOD_PARTS | set(BAD)
    assert {job for job, row in jobs.items() if row["state"] == "done"} == GOOD | GOOD_PARTS
    for job, (state, words) in BAD.items():
        assert jobs[job]["state"] == state
        assert words in jobs[job]["error"]
        assert (folder / "out" / jobs[job]["log"]).is_file()
    assert not unfinished_files(folder)


def test_files_are_those_of_the_summary(mixed: tuple[Path, int, str, str]) -> None:
    """Every file of a good job exists and is annotated; the summary has its number of nodes."""
    folder, _, _, _ = mixed
    listed = {name for row in job_rows(folder).values() for name in row["files"]}
    out = folder / "out"
    paths = {path for path in out.rglob("*") if path.is_file() and ".batch" not in path.parts}
    files = {path.relative_to(out).as_posix() for path in paths}
    assert files == listed | {"summary.json", "summary.md"}
    for job in GOOD:
        row = job_rows(folder)[job]
        kind = "onnx" if job == "exported" else "annotated.onnx"
        path = folder / "out" / f"{job}.{kind}"
        nodes = [node for _, node in walk_nodes(onnx.load(path))]
        tagged = [n for n in nodes if keys.TAG in {entry.key for entry in n.metadata_props}]
        assert (row["nodes"], row["tagged"]) == (len(nodes), len(tagged))
        assert row["unresolved"] == len(nodes) - len(tagged)
        assert analyze(path).tagged == len(tagged) > 0
    assert "exported.report.json" in listed


def test_the_summary_is_data_and_a_table(mixed: tuple[Path, int, str, str]) -> None:
    """summary.json validates against its schema; the table has a line for each job."""
    folder, _, out, _ = mixed
    schema = json.loads(schema_text(SCHEMAS["schemas/batch.schema.json"]))
    jsonschema.Draft202012Validator(schema).validate(read_summary(folder))
    assert (folder / "out" / "summary.md").read_text() == out
    table = job_rows(folder)
    assert table
    for job, row in table.items():
        line = next(line for line in out.splitlines() if line.startswith(f"| {job} |"))
        assert f"| {row['state']} |" in line
        assert (row["error"] or "") in line


def test_progress_is_plain_lines_in_a_log(mixed: tuple[Path, int, str, str]) -> None:
    """Standard error has each job's steps and end, numbered, without control characters."""
    folder, _, _, err = mixed
    lines = err.splitlines()
    assert "\x1b" not in err
    assert "\r" not in err
    table = job_rows(folder)
    ends = [line for line in lines if line.startswith("[")]
    assert len(ends) == len(table) > 0
    for number, line in enumerate(ends, 1):
        assert line.startswith(f"[{number}/{len(table)}] ")
    for job, row in table.items():
        assert any(f"] {job}: {row['state']}" in line for line in lines)
    assert {"tiny: trace", "tiny: annotate", "tiny: validate"} <= set(lines)


RESUMED = """
[defaults]
annotate = {report = true}
[[models]]
onnx = "plain.onnx"
record = "plain.trace.json"
[[models]]
name = "cut"
onnx = "plain.onnx"
record = "plain.trace.json"
annotate = {depth = 1}
"""


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan that was run once."""
    folder = write_sources(tmp_path_factory.mktemp("resumed"))
    write_plan(folder, RESUMED)
    assert run_batch(folder, "--workers", "1")[0] == 0
    return folder


def _states(folder: Path) -> dict[str, str]:
    return {job: row["state"] for job, row in job_rows(folder).items()}


def _contents(folder: Path) -> dict[str, str]:
    return {
        p.name: content_digest(p) for p in (folder / "out").glob("*") if "summary" not in p.name
    }


def test_resuming_does_only_what_changed(resumed: Path) -> None:
    """A job is done again when its options, inputs or results changed; dates do not count."""
    before = _contents(resumed)
    for path in [*resumed.glob("*"), *(resumed / "out").glob("*")]:
        os.utime(path)
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    assert _states(resumed) == {"plain": "kept", "cut": "kept"}

    write_plan(resumed, RESUMED.replace("depth = 1", "depth = 2"))
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    assert _states(resumed) == {"plain": "kept", "cut": "done"}
    assert "options" in job_rows(resumed)["cut"]["reason"]

    damaged = resumed / "out" / "plain.annotated.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (resumed / "out" / "cut.report.json").unlink()
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    assert _states(resumed) == {"plain": "done", "cut": "done"}
    assert job_rows(resumed)["plain"]["reason"].startswith("plain.annotated.onnx")
    assert job_rows(resumed)["cut"]["reason"].startswith("cut.report.json")
    after = _contents(resumed)
    assert {n: d for n, d in after.items() if n.startswith("plain")} == {
        name: digest for name, digest in before.items() if name.startswith("plain")
    }


def test_resuming_sees_inputs_change(resumed: Path) -> None:
    """A record with other content is another input."""
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    record = resumed / "plain.trace.json"
    record.write_bytes(record.read_bytes() + b"\n")
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    assert set(_states(resumed).values()) == {"done"}
    assert "plain.trace.json changed" in job_rows(resumed)["plain"]["reason"]


def test_a_finished_plan_resumes_without_heavy_imports(resumed: Path) -> None:
    """Neither torch nor onnx nor Dask is loaded to see that all is done."""
    assert run_batch(resumed, "--workers", "1", "--resume")[0] == 0
    result, packages = packages_loaded_by("--quiet", "batch", "plan.toml", "--resume", cwd=resumed)
    assert (result.code, result.err) == (0, "")
    assert set(_states(resumed).values()) == {"kept"}
    assert not packages & {"torch", "transformers", "onnx", "distributed"}


def test_what_a_factory_imports_and_opens_is_an_input(mixed: tuple[Path, int, str, str]) -> None:
    """The ledger of a traced job names the helper module that its source imports."""
    folder, _, _, _ = mixed
    entry = json.loads((folder / "out" / ".batch" / "done" / "tiny.json").read_text())
    inputs = entry["outcome"]["inputs"]
    users = {path.name for path in folder.glob("*.py")}
    assert users <= set(inputs)
    assert inputs == {name: content_digest(folder / name) for name in inputs}


def test_files_of_others_are_not_overwritten(resumed: Path, tmp_path: Path) -> None:
    """Without --resume or --force, what stands in the way stays, in one sentence."""
    write_sources(tmp_path)
    write_plan(tmp_path, RESUMED)
    (tmp_path / "out").mkdir()
    existing = tmp_path / "out" / "plain.annotated.onnx"
    existing.write_bytes(b"not ours")
    for options in ([], ["--resume"]):
        code, _, err = run_batch(tmp_path, *options)
        assert (code, existing.read_bytes()) == (2, b"not ours")
        assert err.count("\n") == 1
        assert "plain.annotated.onnx: exists already" in err
    assert run_batch(resumed)[0] == 2


def _wait_for(path: Path, process: "subprocess.Popen[Any]") -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "workers", "exporter", "others"),
    [
        (signal.SIGINT, 1, "auto", []),
        (signal.SIGTERM, 1, "torchscript", []),
        (signal.SIGINT, 2, "torchscript", ["again", "more"]),
    ],
    ids=["ctrl-c", "terminated", "while jobs wait for a trace"],
)
def test_stopping_leaves_nothing_half_done(
    tmp_path: Path, number: signal.Signals, workers: int, exporter: str, others: list[str]
) -> None:
    """Exit code 130, no process and no part of a file left, and a summary of what was done.

    While it runs, a second run into the same folder is refused. The fork server reported no
    threads.
    """
    write_sources(tmp_path)
    endless = '[[models]]\nsource = "models.py:endless"\n'
    endless += "".join(f'{endless}name = "{name}"\n' for name in others)
    existing = '[[models]]\nonnx = "plain.onnx"\nrecord = "plain.trace.json"\n'
    write_plan(tmp_path, f'[defaults]\ntrace = {{exporter = "{exporter}"}}\n{existing}{endless}')
    command = ("modelexport", "batch", "plan.toml", "--workers", str(workers))
    with running_command(tmp_path, *command) as run:
        _wait_for(tmp_path / "begun", run)
        _wait_for(tmp_path / "out" / "plain.annotated.onnx", run)
        assert "another batch run" in run_batch(tmp_path, "--resume")[2]
        family = psutil.Process(run.pid).children(recursive=True)
        os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err.splitlines()[-1] in {
        "modelexport: stopped.",
        "stopping: the jobs in progress are ended",
    }
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not unfinished_files(tmp_path)
    stopped = dict.fromkeys(["endless", *others], "stopped")
    assert _states(tmp_path) == {"plain": "done"} | stopped
    assert [p.read_text() for p in (tmp_path / "out" / ".batch" / "logs").glob("fork-server*")] == [
        ""
    ]
