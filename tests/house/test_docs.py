"""The documentation: it builds strictly, and its commands and snippets do what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import modelexport
from fixtures_gen.outputs import comparable, with_outputs
from fixtures_gen.site import PACKAGES, pages
from modelexport.cli.main import COMMANDS
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.pipeline.batch import load_plan
from tests.helpers.batching import job_rows
from tests.helpers.commands import ROOT, Run, environment
from tests.helpers.documents import command_lines, fenced_blocks, run_code, run_document

DOCS = ROOT / "docs"
GETTING_STARTED = DOCS / "getting-started.md"
USES = DOCS / "uses.md"
PAGES = sorted(
    page
    for page in DOCS.rglob("*.md")
    if page not in {GETTING_STARTED, USES, DOCS / "exporting.md"}  # test_configured_traces runs it
    and any(b.language in {"sh", "python"} for b in fenced_blocks(page.read_text()))
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of getting-started ran."""
    folder = tmp_path_factory.mktemp("project")
    run_document(GETTING_STARTED.read_text(), folder)
    return folder


def _untagged(path: Path) -> list[str]:
    """Names of the nodes of a file that carry no tag."""
    nodes = [node for _, node in walk_nodes(onnx.load(path))]
    assert nodes
    return [n.name for n in nodes if keys.TAG not in {entry.key for entry in n.metadata_props}]


def test_getting_started_makes_what_it_says(project: Path) -> None:
    """Every annotated file has a tag on every node, and strip gives back the traced one."""
    for name in ("net.annotated.onnx", "net.exported.onnx", "api.annotated.onnx"):
        assert _untagged(project / name) == [], name
    assert (project / "net.plain.onnx").read_bytes() == (project / "net.onnx").read_bytes()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_do_what_they_say(project: Path, tmp_path: Path, page: Path) -> None:
    """Every command of a page succeeds, in order, from where getting-started leaves off."""
    folder = tmp_path / "page"
    shutil.copytree(project, folder)
    text = page.read_text()
    run_document(text, folder)
    written = {name for line in command_lines(text) for name in re.findall(r"-o (\S{2,})", line)}
    assert {name for name in written if not (folder / name).is_file()} == set()
    if page.stem == "batch":
        assert {row["state"] for row in job_rows(folder).values()} == {"kept"}


def test_outputs_are_those_of_the_commands(
    project: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m fixtures_gen.outputs docs/uses.md` writes them anew."""
    folder = tmp_path / "page"
    shutil.copytree(project, folder)
    monkeypatch.chdir(folder)
    page = USES.read_text()
    actual = with_outputs(page, lambda arguments: run(*arguments).out, run_code)
    assert actual.count("```text") > 5
    assert comparable(actual) == comparable(page)


def test_every_guide_is_carried_out() -> None:
    """No guide is without commands, and none of its commands stands in a block that is not run."""
    assert set((DOCS / "guides").glob("*.md")) <= set(PAGES)
    for page in [GETTING_STARTED, *PAGES]:
        outputs = [b.text for b in fenced_blocks(page.read_text()) if b.language == "text"]
        assert not any(
            line.startswith("modelexport") for text in outputs for line in text.splitlines()
        )


def test_the_example_plan_runs(project: Path, tmp_path: Path) -> None:
    """docs/batch-plan.toml is done to the end with the model of getting-started."""
    folder = tmp_path / "example"
    shutil.copytree(project, folder)
    shutil.copy(DOCS / "batch-plan.toml", folder / "plan.toml")
    shutil.copy(folder / "net.onnx", folder / "old.onnx")
    shutil.copy(folder / "net.trace.json", folder / "net.record.json")
    run_document("```sh\nmodelexport batch plan.toml --workers 1\n```\n", folder)
    expected = {job.id for job in load_plan(folder / "plan.toml").jobs}
    assert {job for job, row in job_rows(folder).items() if row["state"] == "done"} == expected


def test_the_reference_has_all_commands_and_packages() -> None:
    """A page for each, with every option of the command and every public name of the package."""
    reference = pages()
    for command in COMMANDS:
        text = reference[f"reference/commands/{command.__name__}.md"]
        help_text = (ROOT / "tests" / "snapshots" / f"help-{command.__name__}.txt").read_text()
        options = set(re.findall(r"--[\w-]+", help_text.partition("Examples:")[0]))
        assert options - set(re.findall(r"--[\w-]+", text)) <= {"--verbose", "--quiet", "--help"}
    for package in PACKAGES:
        assert f"::: {package}." in reference[f"reference/python/{package}.md"]


def test_the_page_of_python_has_every_function() -> None:
    """Each public function stands in its table."""
    table = re.findall(r"^\| (`.*?) \|", (DOCS / "python.md").read_text(), re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`(\w+)`", row)}
    assert named == {name for name in modelexport.__all__ if name[0].islower()}


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """No dead link, no missing page, no docstring that does not render."""
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=environment() | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "site" / "reference" / "commands" / "batch.html").is_file()
