"""Batch runs on a Dask cluster: a real scheduler and workers, in processes of their own."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.helpers.batching import job_rows, run_batch, unfinished_files, write_plan, write_sources
from tests.helpers.commands import running_command

if TYPE_CHECKING:
    import subprocess

_JOBS = 4


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, "list[subprocess.Popen[str]]"]]:
    """A scheduler's address and its two workers."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    scheduler_file = folder / "scheduler.json"
    at = ("--scheduler-file", str(scheduler_file), "--no-dashboard")
    worker = ("dask", "worker", *at, "--no-nanny", "--nthreads", "1")
    listen = ("--host", "127.0.0.1", "--port", "0")
    with running_command(folder, "dask", "scheduler", *at, *listen) as scheduler:
        while not scheduler_file.exists():
            assert scheduler.poll() is None
            time.sleep(0.05)
        with running_command(folder, *worker) as first, running_command(folder, *worker) as second:
            yield json.loads(scheduler_file.read_text())["address"], [first, second]


@pytest.mark.parametrize("shared", [False, True], ids=["job", "shared trace"])
def test_a_killed_worker_takes_no_job_with_it(
    tmp_path: Path, cluster: tuple[str, "list[subprocess.Popen[str]]"], *, shared: bool
) -> None:
    """A worker is killed while it works: the other one does its jobs, too."""
    address, workers = cluster
    write_sources(tmp_path)
    models = (
        f'[[models]]\nname = "m{n}"\nsource = "models.py:slow"\n'
        f"trace = {{opset = {17 if shared else 17 + n}}}\n"
        for n in range(_JOBS)
    )
    write_plan(tmp_path, "[defaults]\ntrace = {exporter = 'torchscript'}\n" + "".join(models))
    with running_command(
        tmp_path, "modelexport", "batch", "plan.toml", "--cluster", address
    ) as run:
        assert run.stderr is not None
        begun: set[str] = set()
        while len(begun) < (1 if shared else len(workers)):  # then each worker has a job
            line = run.stderr.readline()
            assert line, run.communicate()
            begun |= {line.split(":")[0]} if line.endswith(": trace\n") else set()
        victim = next(worker for worker in workers if _at_work(worker))
        family = psutil.Process(victim.pid).children(recursive=True)
        victim.kill()
        out, _ = run.communicate(timeout=90)
    assert run.returncode == 0, out
    assert {job: row["state"] for job, row in job_rows(tmp_path).items()} == {
        f"m{n}": "done" for n in range(_JOBS)
    }
    assert not unfinished_files(tmp_path)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def _at_work(worker: "subprocess.Popen[str]") -> bool:
    """Whether the process that starts a worker's jobs has started one."""
    starters = psutil.Process(worker.pid).children()
    return any("fork_server" in str(p.cmdline()) and p.children() for p in starters)


def test_a_cluster_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    """One sentence with the address, and exit code 2."""
    write_sources(tmp_path)
    write_plan(tmp_path, '[[models]]\nonnx = "plain.onnx"\nrecord = "plain.trace.json"\n')
    both = run_batch(tmp_path, "--cluster", "tcp://127.0.0.1:9", "--workers", "2")
    assert (both[0], both[2].count("\n")) == (2, 1)
    code, _, err = run_batch(tmp_path, "--cluster", "tcp://nowhere")
    assert code == 2
    assert "tcp://nowhere: no Dask scheduler answers there" in err
