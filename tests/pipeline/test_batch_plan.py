"""Batch plans: what they come to, and what is refused before anything runs."""

import json
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import jsonschema
import pytest

from fixtures_gen.schema import SCHEMAS, schema_text
from modelexport.hierarchy.choices import Exporter, Inject
from modelexport.pipeline.batch import load_plan
from modelexport.pipeline.batch.plan import Step, size_in_bytes
from tests.helpers.batching import write_plan, write_sources
from tests.helpers.commands import ROOT, Run, packages_loaded_by

Refused = Callable[[str], str]


@pytest.fixture
def refused(run: Run, working_folder: Path) -> Refused:
    """Gives a plan to the command, which must refuse it and leave nothing; gives the sentence."""
    folder = write_sources(working_folder)

    def command(text: str) -> str:
        plan = write_plan(folder, text)
        before = sorted(folder.rglob("*"))
        result = run("batch", plan.name)
        assert (result.code, result.out) == (2, ""), result
        assert result.err.count("\n") == 1
        assert sorted(folder.rglob("*")) == before
        return result.err

    return command


ONE = '[[models]]\nsource = "models.py:tiny"\n'
BAD = {
    "no models": ("out = 'o'", "missing required field `models`"),
    "an empty list of models": ("models = []", "$.models: "),
    "no TOML": ("models = [", "not TOML"),
    "a misspelt key": (ONE * 2 + '[[models]]\nsorce = "x"', "$.models[2].sorce: unknown key"),
    "a misspelt key, what was meant": (ONE + "[defalts]", "did you mean defaults?"),
    "a misspelt option": (ONE + "[models.trace]\nopsett = 18", "$.models[0].trace.opsett"),
    "a misspelt default": ("[defaults.annotate]\ninjct = 1\n" + ONE, "$.defaults.annotate.injct"),
    "an empty list in an axis": ("[matrix]\ninject = [[]]\n" + ONE, "$.matrix.inject[0]"),
    "no pattern in an axis": ("[matrix]\nfunctions = [[]]\n" + ONE, "$.matrix.functions[0]"),
    "a misspelt axis": ("[matrix]\nexporters = []\n" + ONE, "did you mean exporter?"),
    "an unknown step": ("[defaults]\nsteps = ['trac']\n" + ONE, "$.defaults.steps[0]"),
    "a step of another kind": (ONE + "steps = 3", "$.models[0].steps"),
    "an unknown exporter": (ONE + "trace = {exporter = 'odd'}", "$.models[0].trace.exporter"),
    "an opset too low": (ONE + "trace = {opset = 3}", "$.models[0].trace.opset"),
    "no time at all": (ONE + "timeout = 0", "$.models[0].timeout"),
    "a size without unit": (ONE + "memory = '4'", "$.models[0].memory"),
    "a size without end": (ONE + f"memory = '{'9' * 400} GiB'", "$.models[0].memory"),
    "a key without end": ("a." * 50_000 + "b = 1", "not TOML (a key has more than"),
    "a name with a slash": (ONE + "name = 'a/b'", "$.models[0].name"),
    "neither source nor file": ("[[models]]\nname = 'x'", "$.models[0]: a model needs either"),
    "both source and file": (ONE + "onnx = 'plain.onnx'", "$.models[0]: a model needs either"),
    "a record of a source": (ONE + "record = 'plain.trace.json'", "$.models[0].record"),
    "annotating first": (ONE + "steps = ['annotate', 'trace']", "$.models[0].steps"),
    "tracing a file": ("[[models]]\nonnx = 'plain.onnx'\nsteps = ['trace']", "$.models[0].steps"),
    "options that no step reads": (
        "[[models]]\nonnx = 'plain.onnx'\ntrace = {opset = 18}",
        "$.models[0].trace: none of its steps (annotate) reads this",
    ),
    "a missing factory file": ("[[models]]\nsource = 'nowhere.py:f'", "nowhere.py: there is no"),
    "a missing package": ("[[models]]\nsource = 'nowhere.at:f'", "no module called nowhere"),
    "a missing folder": ("[[models]]\nsource = './nowhere'", "./nowhere: there is no such folder"),
    "a folder without model": ("[[models]]\nsource = '.'", "no config.json"),
    "a missing file": ("[[models]]\nonnx = 'nowhere.onnx'", "nowhere.onnx: there is no such file"),
    "a missing record": (
        "[[models]]\nonnx = 'plain.onnx'\nrecord = 'nowhere.json'",
        "nowhere.json: there is no such file",
    ),
    "a missing input": (ONE + "inputs = ['weights.pt']", "weights.pt: there is no such file"),
    "one name twice": (ONE * 2, "two jobs would write tiny"),
    "one name twice by a matrix": (
        "[matrix]\nexporter = ['dynamo', 'dynamo']\n" + ONE,
        "two jobs would write tiny-dynamo",
    ),
}


@pytest.mark.parametrize(("text", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_plan_gets_one_sentence(refused: Refused, text: str, named: str) -> None:
    """Exit code 2 before anything runs, and the key or the thing that is wrong."""
    sentence = refused(text)
    assert "plan.toml: " in sentence
    assert named in sentence


def test_a_plan_that_is_not_there(refused: Refused, run: Run, tmp_path: Path) -> None:
    """The file is named; so is a file that results would overwrite."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tiny.onnx").write_bytes(b"not ours")
    assert "out/tiny.onnx: exists already" in refused(ONE)
    assert run("batch", "nowhere.toml").code == 2


def test_a_matrix_is_every_combination(tmp_path: Path) -> None:
    """A job for each, in order; axes that a model's steps do not read are left out for it."""
    exporters = [Exporter.DYNAMO, Exporter.TORCHSCRIPT]
    ways = [[Inject.METADATA], [Inject.FUNCTIONS, Inject.NAMES]]
    plan = write_plan(
        write_sources(tmp_path),
        f"[matrix]\nexporter = {json.dumps(exporters)}\ninject = {json.dumps(ways)}\n"
        + ONE
        + "[[models]]\nonnx = 'plain.onnx'\n",
    )
    traced = [job for job in load_plan(plan).jobs if job.source]
    existing = [job for job in load_plan(plan).jobs if job.onnx]
    options = [(job.trace.exporter, list(job.annotate.inject)) for job in traced]
    assert options == list(product(exporters, ways))
    assert [list(job.annotate.inject) for job in existing] == ways
    assert len({job.id for job in traced + existing}) == len(traced) + len(existing)


def test_a_dry_run_is_data_too(working_folder: Path, run: Run) -> None:
    """The jobs as JSON obey their published schema, and are those that would run."""
    plan = write_plan(write_sources(working_folder), "[matrix]\nopset = [17, 18]\n" + ONE)
    result = run("batch", plan.name, "--dry-run", "--output-format", "json")
    jobs = json.loads(result.out)
    jsonschema.validate(jobs, json.loads(schema_text(SCHEMAS["schemas/batch-jobs.schema.json"])))
    assert [job["id"] for job in jobs] == [job.id for job in load_plan(plan).jobs]


def test_a_model_overrides_defaults_key_by_key(tmp_path: Path) -> None:
    """What a model says goes before the defaults, and leaves their other keys alone."""
    plan = write_plan(
        write_sources(tmp_path),
        "[defaults]\ntimeout = 7\nmemory = '1.5 GiB'\n[defaults.trace]\nopset = 18\nprobe = false\n"
        + ONE
        + "timeout = 3\nsteps = ['export', 'validate']\ntrace = {opset = 20}\n"
        + "[[models]]\nname = 'other'\nsource = 'models.py:tiny'\n",
    )
    own, other = load_plan(plan).jobs
    assert (own.timeout, own.trace.opset, own.trace.probe) == (3, 20, False)
    assert own.steps == (Step.EXPORT, Step.VALIDATE)
    assert (other.timeout, other.trace.opset, other.trace.probe) == (7, 18, False)
    assert own.memory == other.memory == size_in_bytes("1.5 GiB") == 3 * 2**29


def test_the_schema_knows_what_the_command_refuses() -> None:
    """A checker of the published schema refuses misspelt keys, and takes the example."""
    check = jsonschema.Draft202012Validator(
        json.loads(schema_text(SCHEMAS["batch-plan.schema.json"]))
    )
    example = tomllib.loads((ROOT / "docs" / "batch-plan.toml").read_text())
    check.validate(example)
    model = example["models"][0]
    assert model
    for key in model:
        broken = {**example, "models": [{**model, f"{key}x": 1}]}
        assert not check.is_valid(broken)


def test_checking_a_plan_loads_nothing_heavy(tmp_path: Path) -> None:
    """A plan is checked, and its jobs shown, without torch, onnx and Dask."""
    write_plan(write_sources(tmp_path), ONE)
    result, packages = packages_loaded_by("batch", "plan.toml", "--dry-run", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("tiny: trace, annotate -> tiny.onnx")
    assert not packages & {"torch", "transformers", "onnx", "distributed"}
    assert not (tmp_path / "out").exists()
