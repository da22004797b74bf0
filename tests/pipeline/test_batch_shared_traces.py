"""Jobs that need the same trace share it; all else is as if each had traced for itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.hierarchy.record import encode_record
from modelexport.pipeline.batch import load_plan
from modelexport.pipeline.batch.digests import content_digest
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import TracedFiles
from modelexport.pipeline.batch.plan import Step
from modelexport.pipeline.batch.shared_traces import SharedTraces, copy_trace
from tests.helpers.batching import job_rows, run_batch, unfinished_files, write_plan, write_sources
from tests.helpers.handmade import two_layers, two_layers_record

COUNTED = """
from models import broken as _broken, dying as _dying, endless as _endless, tiny as _tiny


def _counted(function):
    def factory():
        with open("calls", "a") as calls:
            calls.write(function.__name__ + "\\n")
        return function()
    return factory


tiny, broken, dying, endless = map(_counted, (_tiny, _broken, _dying, _endless))
"""
INJECT, STYLE = ["metadata", "names"], ["path", "class"]
SHARED = f"""
[defaults.trace]
exporter = "torchscript"
[matrix]
inject = {json.dumps(INJECT)}
tag_style = {json.dumps(STYLE)}
[[models]]
source = "counted.py:tiny"
steps = ["trace", "annotate", "validate"]
[[models]]
name = "exported"
source = "counted.py:tiny"
steps = ["export"]
annotate = {{report = true}}
[[models]]
name = "plain"
source = "counted.py:tiny"
steps = ["trace"]
"""


def prepared(folder: Path) -> Path:
    write_sources(folder)
    (folder / "counted.py").write_text(COUNTED)
    return folder


def calls(folder: Path) -> list[str]:
    """Which factories were called, in order."""
    log = folder / "calls"
    return log.read_text().split() if log.exists() else []


def written(folder: Path) -> dict[str, str]:
    """Digests of the results by name."""
    return {job: row["files"] for job, row in job_rows(folder).items()} | {
        path.name: content_digest(path)
        for path in (folder / "out").iterdir()
        if path.is_file() and not path.name.startswith("summary")
    }


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two workers ran the plan; tests only read it."""
    folder = prepared(tmp_path_factory.mktemp("together"))
    write_plan(folder, SHARED)
    code, out, err = run_batch(folder, "--workers", "2")
    assert code == 0, out + err
    return folder


def test_one_trace_and_the_files_of_many(together: Path, tmp_path: Path) -> None:
    """The factory is called once; every file, count and input is as if each job were alone."""
    assert calls(together) == ["tiny"]
    assert not unfinished_files(together)
    summary_rows = job_rows(together)
    assert len(summary_rows) == 2 * len(INJECT) * len(STYLE) + 1
    alone = prepared(tmp_path)
    jobs = load_plan(together / "plan.toml").jobs
    assert len(jobs) == len(summary_rows)
    write_plan(alone, "".join(map(apart, jobs, range(len(jobs)))))
    assert run_batch(alone, "--workers", "1")[0] == 0
    assert calls(alone) == ["tiny"] * len(jobs)
    for job in jobs:
        row, own = summary_rows[job.id], job_rows(alone)[job.id]
        for of in ("state", "files", "nodes", "tagged", "unresolved"):
            assert row[of] == own[of], (job.id, of)
        assert row["files"]
        for name in row["files"]:
            digests = [content_digest(folder / "out" / name) for folder in (together, alone)]
            assert digests[0] == digests[1], name
        assert inputs(together, job) == inputs(alone, job)


def apart(job: Job, number: int) -> str:
    """A model that is this job; a limit of its own lets it trace alone."""
    settings = job.annotate
    ways = json.dumps([str(way) for way in settings.inject])
    return f"""
[[models]]
name = "{job.id}"
source = "{job.source}"
steps = {json.dumps([str(step) for step in job.steps])}
trace = {{exporter = "{job.trace.exporter}"}}
timeout = {100 + number}
""" + (
        f'annotate = {{inject = {ways}, tag_style = "{settings.tag_style}", '
        f"report = {json.dumps(settings.report)}}}\n"
        if len(job.steps) > 1 or Step.EXPORT in job.steps
        else ""
    )


def inputs(folder: Path, job: Job) -> object:
    entry = json.loads((folder / "out" / ".batch" / "done" / f"{job.id}.json").read_text())
    return entry["outcome"]["inputs"]


BAD = {
    "broken": ("failed", "no such weights"),
    "dying": ("failed", "exit code 3"),
    "endless": ("timeout", "1.5 s"),
}
"""Factories that fail: how their jobs end, and words of the reason."""


def test_a_trace_that_fails_fails_its_jobs(tmp_path: Path) -> None:
    """Each says why, with the log that tells more; it was tried once; others are done."""
    prepared(tmp_path)
    bad = "".join(f'[[models]]\nsource = "counted.py:{name}"\ntimeout = 1.5\n' for name in BAD)
    good = '[[models]]\nsource = "counted.py:tiny"\n'
    write_plan(
        tmp_path,
        f'[defaults]\ntrace = {{exporter = "torchscript"}}\n'
        f"[matrix]\ninject = {json.dumps(INJECT)}\n{bad}{good}",
    )
    code, _, err = run_batch(tmp_path, "--workers", "1")
    summary_rows = job_rows(tmp_path)
    assert code == 1
    assert sorted(calls(tmp_path)) == sorted([*BAD, "tiny"])
    assert {job: row["state"] for job, row in summary_rows.items()} == {
        f"{name}-{inject}": ending
        for name, ending in [*((name, state) for name, (state, _) in BAD.items()), ("tiny", "done")]
        for inject in INJECT
    }
    for factory, (state, words) in BAD.items():
        for inject in INJECT:
            row = summary_rows[f"{factory}-{inject}"]
            assert words in row["error"]
            assert (tmp_path / "out" / row["log"]).is_file()
            assert f"{factory}-{inject}: {state}" in err
    assert not unfinished_files(tmp_path)


def test_resuming_takes_what_a_neighbour_has_traced(together: Path, tmp_path: Path) -> None:
    """New cells of a matrix take the trace of those that are done; what changed is traced anew."""
    folder = shutil.copytree(together, tmp_path / "resumed")
    before, more = written(folder), [*INJECT, INJECT]
    write_plan(folder, SHARED.replace(json.dumps(INJECT), json.dumps(more)))
    assert run_batch(folder, "--workers", "1", "--resume")[0] == 0
    states = {job: row["state"] for job, row in job_rows(folder).items()}
    new_jobs = {job for job, state in states.items() if state == "done"}
    assert new_jobs == states.keys() - job_rows(together).keys()
    assert len(new_jobs) == 2 * len(STYLE)
    assert calls(folder) == ["tiny"]
    after = written(folder)
    kept, new = (
        next(job for job in states if job.startswith("tiny") and (job in new_jobs) is is_new)
        for is_new in (False, True)
    )
    for kind in ("onnx", "trace.json"):
        assert after[f"{new}.{kind}"] == before[f"{kept}.{kind}"]

    (folder / "helper.py").write_text("WIDTH = 6\n")
    assert run_batch(folder, "--workers", "1", "--resume")[0] == 0
    assert {row["state"] for row in job_rows(folder).values()} == {"done"}
    assert calls(folder) == ["tiny", "tiny"]


def test_traces_that_are_not_alike_are_not_shared(tmp_path: Path) -> None:
    """Another option, input or bound is another trace; the same ones are the same."""
    prepared(tmp_path)
    one = '[[models]]\nsource = "counted.py:tiny"\nsteps = ["trace"]\n'
    settings = ["", "", "trace = {opset = 18}", "inputs = ['helper.py']", "threads = 1"]
    models = [f'{one}name = "m{n}"\n{setting}\n' for n, setting in enumerate(settings)]
    write_plan(tmp_path, "[defaults]\ntrace = {exporter = 'torchscript'}\n" + "".join(models))
    assert run_batch(tmp_path, "--workers", "1")[0] == 0
    assert calls(tmp_path) == ["tiny"] * len(set(settings))


def test_a_shared_trace_is_dropped_with_the_last_job(tmp_path: Path) -> None:
    """Not before: each of the jobs still needs its files until it has ended."""
    write_plan(prepared(tmp_path), SHARED)
    jobs = load_plan(tmp_path / "plan.toml").jobs
    shared = SharedTraces(jobs, [], tmp_path)
    (trace,) = shared.traces()
    assert set(shared.to_make) == {job.id for job in jobs}
    assert shared.shown_as(trace.id) == jobs[0].id
    assert [shared.job_ended(job) for job in jobs] == [None] * (len(jobs) - 1) + [trace]


def test_weights_beside_a_trace_get_the_name_of_the_job(tmp_path: Path) -> None:
    """The copy refers to its own file of weights, and has the same values; the original stays."""
    source_folder, folder = tmp_path / "giver", tmp_path / "job"
    source_folder.mkdir()
    folder.mkdir()
    giver, model = Job(id="giver", steps=(Step.TRACE,)), two_layers()
    for weight in model.graph.initializer:
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight), weight.name))
    source = source_folder / giver.file("onnx")
    onnx.save(
        model, source, save_as_external_data=True, location=f"{source.name}.data", size_threshold=0
    )
    (source_folder / giver.file("trace.json")).write_bytes(encode_record(two_layers_record()))
    before = {path.name: content_digest(path) for path in source_folder.iterdir()}
    copy_trace(
        TracedFiles(giver, str(source_folder), {}), folder / "job.onnx", folder / "job.trace.json"
    )
    assert {path.name for path in folder.iterdir()} == {
        "job.onnx", "job.onnx.data", "job.trace.json"
    }  # fmt: skip
    assert {path.name: content_digest(path) for path in source_folder.iterdir()} == before
    (source_folder / f"{source.name}.data").unlink()  # nothing refers to it any more
    copy = onnx.load(folder / "job.onnx")
    assert copy.graph.node == two_layers().graph.node
    weights = two_layers().graph.initializer
    assert weights
    for expected, weight in zip(weights, copy.graph.initializer, strict=True):
        np.testing.assert_array_equal(
            numpy_helper.to_array(weight), numpy_helper.to_array(expected)
        )
