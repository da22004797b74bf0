"""Equal siblings in what analyze prints: one entry by default, one by one with --all."""

import csv
import io
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest

from modelexport.cli.render_module_tree import module_tree
from modelexport.hierarchy.tags import TagRules, TagStyle, TorchNN
from modelexport.rewriter import ModuleRow, analyze, annotate
from tests.helpers.commands import Run
from tests.helpers.printed import RUNS, printed, save_layers
from tests.helpers.traced import TracedModels

EQUAL = ("Relu",) * 6
TURNS = ("Relu", "Tanh", "Relu", "Tanh")
NETWORKS = {"equal": EQUAL, "runs": RUNS, "turns": TURNS}


class Layers(NamedTuple):
    """A run of equal layers: the first and the last number, and what each is."""

    first: int
    last: int
    operator: str

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def name(self) -> str:
        """How the run is called below the root."""
        return f"layer.({self.first}-{self.last})" if self.size > 1 else f"layer.{self.first}"


def runs(operators: tuple[str, ...]) -> Iterator[Layers]:
    """The runs of equal layers of a network."""
    for operator, numbers in groupby(range(len(operators)), key=operators.__getitem__):
        run = list(numbers)
        yield Layers(run[0], run[-1], operator)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Layers]]:
    """An annotated file, and the runs of equal layers in it."""
    operators = NETWORKS[request.param]
    return save_layers(tmp_path, "net.onnx", *operators), list(runs(operators))


def rows_of_layers(file: Path, run: Layers) -> list[ModuleRow]:
    """The rows of the layers of a run."""
    paths = {f"layer.{number}" for number in range(run.first, run.last + 1)}
    return [row for row in analyze(file, dims={"N": 2}).modules if row.path in paths]


def test_a_tree_has_an_entry_for_each_run(network: tuple[Path, list[Layers]], run: Run) -> None:
    """With the figures of all layers of the run, and of each; below it what each holds."""
    file, expected = network
    lines = run("analyze", file, "--dim", "N=2").out.splitlines()
    assert lines[0].startswith("Net")
    entries = [line for line in lines if "layer." in line]
    assert len(entries) == len(expected)
    assert sum(" fc Linear  " in line for line in lines) == len(expected)
    for line, layers_of_run in zip(entries, expected, strict=True):
        rows = rows_of_layers(file, layers_of_run)
        class_name = f"{layers_of_run.operator}Layer"
        if layers_of_run.size == 1:
            assert f"{layers_of_run.name} {class_name}  {rows[0].nodes} nodes" in line
            continue
        head = f"{layers_of_run.name}: {layers_of_run.size} x {class_name}"
        nodes, parameters = sum(r.nodes for r in rows), sum(r.parameters for r in rows)
        share, macs = sum(r.share for r in rows), sum(r.macs for r in rows)
        figures = f"{nodes} nodes  {parameters} params {share:.1%}  {macs} MACs"
        assert line.endswith(f"{head}  {figures}")
        one = rows[0]
        each = f"{one.nodes} nodes  {one.parameters} params {one.share:.1%}  {one.macs} MACs"
        assert f"each  {each}  {layers_of_run.operator} 1" in lines[lines.index(line) + 1]


@pytest.mark.parametrize("form", ["tree", "table", "markdown"])
def test_all_shows_every_module(network: tuple[Path, list[Layers]], run: Run, form: str) -> None:
    """No entry stands for several, and each module has its own."""
    file, _ = network
    out = run("analyze", file, "--all", "--output-format", form).out
    assert " x " not in out
    assert "-" not in "".join(re.findall(r"layer\.(\S+)", out))
    numbers = re.findall(r"\blayer\.(\d+)(?= )", out)
    others = {"Net", "ModuleList", "Linear"}
    layers_of_file = [row.path for row in analyze(file).modules if row.class_name not in others]
    assert [f"layer.{number}" for number in numbers] == layers_of_file


@pytest.mark.parametrize("form", ["json", "csv"])
def test_data_is_complete(network: tuple[Path, list[Layers]], run: Run, form: str) -> None:
    """JSON and CSV have every module, whether --all is there or not."""
    file, _ = network
    out = run("analyze", file, "--output-format", form).out
    assert out == run("analyze", file, "--output-format", form, "--all").out
    if form == "json":
        tags = [row["tag"] for row in json.loads(out)["modules"]]
    else:
        tags = [row["tag"] for row in csv.DictReader(io.StringIO(out))]
    assert tags == [row.tag for row in analyze(file).modules]


def markdown_rows(text: str) -> list[dict[str, str]]:
    """The rows of the table of modules, by the heads."""
    table = text.strip().split("\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    heads, _, *rows = cells
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_a_table_has_two_lines_for_each_run(network: tuple[Path, list[Layers]], run: Run) -> None:
    """The figures of all and of each; a line below a run stands for what is in all layers."""
    file, expected = network
    rows = markdown_rows(run("analyze", file, "--output-format", "markdown").out)
    by_line = {(row["module"], row.get("modules", "")): row for row in rows}
    assert expected
    for layers_of_run in expected:
        one = rows_of_layers(file, layers_of_run)[0]
        tag, size = f"/Net/{layers_of_run.name}", layers_of_run.size
        each = f"1 of {size}" if size > 1 else ""
        assert by_line[tag, each]["nodes"] == str(one.nodes)
        assert by_line[tag, each]["class"] == f"{layers_of_run.operator}Layer"
        assert by_line[f"{tag}/fc", each]["nodes"] == "2"
        if size > 1:
            assert by_line[tag, f"all {size}"]["nodes"] == str(size * one.nodes)
    joined = [layers_of_run for layers_of_run in expected if layers_of_run.size > 1]
    assert len(rows) == 1 + 2 * len(expected) + len(joined)
    assert all(("modules" in row) == bool(joined) for row in rows)


def test_html_has_every_module(network: tuple[Path, list[Layers]]) -> None:
    """A run is an entry that is closed at first; opened, it shows its modules."""
    file, expected = network
    html = analyze(file)._repr_html_()
    assert html.count("<details") == html.count("</details>")
    assert expected
    for layers_of_run in expected:
        numbers = range(layers_of_run.first, layers_of_run.last + 1)
        assert all(html.count(f"<b>layer.{number}</b>") == 1 for number in numbers)
        if layers_of_run.size > 1:
            head = f"<b>{layers_of_run.name}: {layers_of_run.size} x {layers_of_run.operator}Layer"
            before, _, inside = html.partition(head)
            assert before.endswith('<details style="margin-left:1em"><summary>')
            assert inside.startswith(f'</b> <span style="opacity:.7">{3 * layers_of_run.size}')
    assert html.count("<b>fc</b>") == sum(layers_of_run.size for layers_of_run in expected)


@pytest.mark.parametrize(
    ("options", "entries"),
    [
        (["--depth", "1"], ["layer.(0-2)", "layer.3", "layer.(4-15)"]),
        (["--module", "layer.5"], ["layer.5"]),
        (["--sort", "name"], ["layer.(0-2)", "layer.3", "layer.(4-15)"]),
        (["--op-type", "Tanh"], ["layer.3"]),
        (["--op-type", "Relu"], ["layer.(0-2)", "layer.(4-15)"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_what_is_shown_is_joined(
    tmp_path: Path, run: Run, options: list[str], entries: list[str]
) -> None:
    """Runs are of the modules that are selected, whatever the order."""
    file = save_layers(tmp_path, "net.onnx", *RUNS)
    out = run("analyze", file, *options).out
    assert re.findall(r"\blayer\.(?:\d+|\(\d+-\d+\))(?=[: ])", out) == entries


def test_tags_by_class_and_rolled_up_are_joined(tmp_path: Path, run: Run) -> None:
    """A class is what a step is called; the linear modules of torch have no rows."""
    rules = TagRules(TagStyle.CLASS, TorchNN.ROLL_UP)
    file = save_layers(tmp_path, "net.onnx", *EQUAL, rules=rules)
    lines = run("analyze", file).out.splitlines()
    assert lines[1].startswith("└── ReluLayer.(0-5): 6 x ReluLayer  18 nodes")
    assert len(lines) == 3


def test_a_node_without_a_tag_sets_its_layer_apart(tmp_path: Path, run: Run) -> None:
    """Its layer has a node less, so that it is not equal to the others."""
    file = save_layers(tmp_path, "net.onnx", *EQUAL)
    model = onnx.load(file)
    del model.graph.node[3 * 2].metadata_props[:]
    onnx.save(model, file)
    out = run("analyze", file).out
    assert re.findall(r"\blayer\.\S+", out) == ["layer.(0-1):", "layer.2", "layer.(3-5):"]
    assert "(without a tag)  1 node" in out


def test_files_side_by_side_are_joined_where_each_is_equal(tmp_path: Path, run: Run) -> None:
    """A layer that differs in one of the files has a line of its own, with the figures of both."""
    one = save_layers(tmp_path, "one.onnx", *EQUAL)
    changed = onnx.load(one)
    del changed.graph.node[3 * 4].metadata_props[:]
    onnx.save(changed, tmp_path / "two.onnx")
    out = run("analyze", one, tmp_path / "two.onnx", "--output-format", "markdown").out
    rows = {(row["module"], row["modules"]): row for row in markdown_rows(out)}
    nodes = ("one.onnx: nodes", "two.onnx: nodes")
    assert [rows["/Net/layer.(0-3)", "all 4"][head] for head in nodes] == ["12", "12"]
    assert [rows["/Net/layer.(0-3)", "1 of 4"][head] for head in nodes] == ["3", "3"]
    assert [rows["/Net/layer.4", ""][head] for head in nodes] == ["3", "2"]
    trees = run("analyze", one, tmp_path / "two.onnx").out
    assert "layer.(0-5): 6 x " in trees
    assert "layer.(0-3): 4 x " in trees


def test_layers_of_a_traced_model_are_joined_as_torch_prints_them(
    traced: TracedModels, tmp_path: Path
) -> None:
    """The layers of a model whose exporter writes the same nodes for each of them."""
    done = traced("bert", "torchscript")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    of_class: dict[str, list[str]] = {}
    for module in done.record.modules:
        stem, _, number = module.path.rpartition(".")
        if number.isdecimal():
            of_class.setdefault(f"{stem} {module.class_name}", []).append(number)
    text = printed(module_tree(analysis, every_module=False), 200)
    assert of_class
    for name, numbers in of_class.items():
        stem, class_name = name.split(" ")
        step = stem.rpartition(".")[2]
        assert f"{step}.({numbers[0]}-{numbers[-1]}): {len(numbers)} x {class_name}  " in text
