"""The page of `report`: what is in it, and how it behaves in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import helper

from modelexport import (
    ModelComparison,
    ModuleComparison,
    ModuleError,
    ValueStatus,
    report,
)
from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.source_lines import encode_lines
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter.inject.metadata import model_entries
from tests.helpers.browser import Browser, started_browser
from tests.helpers.commands import Run
from tests.helpers.printed import save_layers

LAYERS, NODES_A_LAYER = 500, 10
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"
MOST_OVERHEAD = 300 * 1024
"""Bytes of a page beside its data."""


def large_model(path: Path, *, classes: int = 1) -> onnx.ModelProto:
    """A file of equal layers; some nodes have no module, and some texts are hostile."""
    modules = [Module("", "Net"), Module("layers", "ModuleList")]
    nodes = []
    for layer in range(LAYERS):
        modules.append(Module(f"layers.{layer}", f"Block{layer * classes // LAYERS}"))
        for step in range(NODES_A_LAYER):
            number = layer * NODES_A_LAYER + step
            node = helper.make_node("Relu", [f"v{number}"], [f"v{number + 1}"], f"n{number}")
            node.metadata_props.add(key=keys.TAG, value=f"/Net/layers.{layer}")
            node.metadata_props.add(key=keys.SOURCE, value=encode_lines([f"net.py:{step + 1}"]))
            nodes.append(node)
    del nodes[-1].metadata_props[:]
    nodes[-1].name = HOSTILE
    value = [helper.make_tensor_value_info(n, 1, [2, 3]) for n in ("v0", nodes[-1].output[0])]
    model = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:]))
    for key, text in model_entries(ModuleTree(tuple(modules)), TagRules(), {}):
        model.metadata_props.add(key=key, value=text)
    onnx.save(model, path)
    return model


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a large model, with the code around its source lines."""
    folder = tmp_path_factory.mktemp("large")
    large_model(folder / "large.onnx")
    (folder / "net.py").write_text("\n".join(f"line_{n} = '<b>'" for n in range(1, 20)))
    report(folder / "large.onnx", folder / "r.html", source_root=folder)
    return folder / "r.html"


def test_a_large_page_is_small_and_whole(large: Path) -> None:
    """Beside its data a page has under 300 KB, and the data is what was returned."""
    text = large.read_text()
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL
    )
    (file,) = json.loads(data)
    assert file["nodes"] == LAYERS * NODES_A_LAYER
    assert file["unresolved"][0]["name"] == HOSTILE
    assert len(text) - len(data) < MOST_OVERHEAD
    assert "<" not in data


def test_a_page_in_a_browser(large: Path, browser: Browser) -> None:
    """Clicks, search, keys and both themes work; nothing is fetched, refused or run."""
    browser.open(large)
    assert browser.complaints() == []
    assert browser.run("document.title") == "large.onnx"
    assert HOSTILE in browser.run("document.getElementById('unresolved').textContent")
    assert browser.run("document.querySelectorAll('img').length") == 0
    run = f"layers.(0-{LAYERS - 2})"  # the last layer has one node less
    browser.run("state.open.add('1'); drawTree()")
    names = browser.run("[...document.querySelectorAll('#tree .name')].map(e => e.textContent)")
    assert any(name in {run, run.removeprefix("layers.")} for name in names), names
    browser.click("#search")
    browser.type(f"layers.{LAYERS - 3}")
    tags = browser.run("[...document.querySelectorAll('#tree .name')].map(e => e.textContent)")
    assert tags == [f"/Net/layers.{LAYERS - 3}"]
    marked = browser.run("[...document.querySelectorAll('#tree mark')].map(e => e.textContent)")
    assert marked == [f"layers.{LAYERS - 3}"]
    browser.click("#tree .row")
    details = browser.run("document.getElementById('details').textContent")
    assert f"/Net/layers.{LAYERS - 3}" in details
    assert "line_4 = '<b>'" in details
    browser.press("Escape")
    assert browser.run("document.getElementById('search').value") == ""
    chosen = browser.run("document.querySelector('#tree .chosen .name').textContent")
    assert chosen == str(LAYERS - 3)  # its row is still there without the search
    browser.press("/")
    browser.type("nothing has this name")
    assert "nothing has this name" in browser.run("document.getElementById('tree').textContent")
    browser.press("Escape")
    browser.run("choose(tree.modules[0])")
    browser.press("ArrowDown")
    assert browser.run("state.chosen") == 1
    browser.press("Enter")
    assert browser.run("state.focus") == 1
    browser.click("#trail button")
    assert browser.run("state.focus") == 0
    assert browser.complaints() == []


def test_names_can_be_read_on_a_narrow_screen(large: Path, browser: Browser) -> None:
    """Figures wrap before a name gets no room."""
    size = {"height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.send("Emulation.setDeviceMetricsOverride", width=390, **size)
    browser.open(large)
    widths = browser.run(
        "[...document.querySelectorAll('#tree .row > :first-child')]"
        ".map((label) => label.getBoundingClientRect().width)"
    )
    wide, screen = browser.run("[document.documentElement.scrollWidth, innerWidth]")
    browser.send("Emulation.clearDeviceMetricsOverride")
    assert min(widths) > 90
    assert wide <= screen


def test_both_themes(large: Path, browser: Browser) -> None:
    """The page follows the system, and the button overrules it."""
    background = "getComputedStyle(document.body).backgroundColor"
    browser.open(large)
    light = browser.run(background)
    browser.theme(dark=True)
    dark = browser.run(background)
    assert light != dark
    browser.send("Page.captureScreenshot")  # the page hears of the system's change with a frame
    assert browser.run("document.getElementById('theme').textContent") == "Light"
    browser.click("#theme")
    assert browser.run(background) == light
    browser.theme(dark=False)
    browser.click("#theme")
    assert browser.run(background) == dark


def test_two_files_are_side_by_side(annotated: Path, tmp_path: Path, browser: Browser) -> None:
    """Each row has the figure of both files; a module of the second alone is listed, too."""
    large_model(tmp_path / "large.onnx")
    report(annotated, tmp_path / "r.html", tmp_path / "large.onnx")
    browser.open(tmp_path / "r.html")
    browser.run("state.measure = 'nodes'; drawTree()")
    nodes = len(onnx.load(annotated).graph.node)
    figure = browser.run("document.querySelector('#tree .figure').textContent")
    assert figure == f"{nodes}  →  {LAYERS * NODES_A_LAYER - 1}"
    assert browser.run("tree.byTag.has('/Net/layers.7')") is True
    assert browser.complaints() == []


def test_equal_layers_are_folded_in_two_files(tmp_path: Path, browser: Browser) -> None:
    """A run in both files is one line, with the sums of both; its layers are below it."""
    for name in ("one.onnx", "two.onnx"):
        large_model(tmp_path / name)
    report(tmp_path / "one.onnx", tmp_path / "r.html", tmp_path / "two.onnx")
    browser.open(tmp_path / "r.html")
    browser.run("state.measure = 'nodes'; state.open.add('1'); drawTree()")
    rows = browser.run("[...document.querySelectorAll('#tree .row')].map(e => e.textContent)")
    (line,) = [row for row in rows if f"{LAYERS - 1} x " in row]
    nodes = (LAYERS - 1) * NODES_A_LAYER
    assert f"{nodes} (each {NODES_A_LAYER})" in line  # what is the same in both stands once
    assert "→" not in line
    assert len(rows) < 10
    assert browser.complaints() == []


def test_equal_layers_that_are_too_narrow_are_one_block(large: Path, browser: Browser) -> None:
    """Hundreds of layers are one block with a name, not slivers; a click opens them."""
    browser.open(large)
    browser.run("state.measure = 'nodes'; drawIcicles()")
    named = "[...document.querySelectorAll('.icicle button')].filter(e => e.textContent)"
    texts = browser.run(f"{named}.map(e => e.textContent)")
    run = f"layers.(0-{LAYERS - 2})"
    assert any(text and run.endswith(text) for text in texts[1:]), texts
    title = browser.run(f"{named}.map(e => e.title).find(t => t.startsWith('{LAYERS - 1} x'))")
    assert str((LAYERS - 1) * NODES_A_LAYER) in title
    browser.run(f"{named}.find(e => e.title.startsWith('{LAYERS - 1} x')).click()")
    first = browser.run("tree.modules[state.chosen].tag")
    assert first == "/Net/layers.0"
    names = browser.run("[...document.querySelectorAll('#tree .name')].map(e => e.textContent)")
    assert f"layers.{LAYERS - 3}" in names or str(LAYERS - 3) in names
    assert browser.complaints() == []


def test_errors_of_modules_reach_those_around_them(
    annotated: Path, tmp_path: Path, browser: Browser
) -> None:
    """A module has the largest error of those inside it; a run in torch gives errors, too."""
    tags = ["/Net/layer.0/fc", "/Net/layer.1/fc"]
    rows = [
        ModuleComparison(
            tag, "", "", 0, ValueStatus.DIVERGES, begins=False, shape=(), relative=error
        )
        for tag, error in zip(tags, (0.25, 0.5), strict=True)
    ]
    local = [ModuleError(tags[0], "v", 1, 0.125, None, 0.0, None, None)]
    result = ModelComparison(
        *("net.py", "m.onnx", "", 0.0),
        same=False, first=tags[0], suspects=[], counts={}, modules=rows, local=local,
    )  # fmt: skip
    (tmp_path / "c.json").write_bytes(msgspec.json.encode(result))
    report(annotated, tmp_path / "r.html", comparison=tmp_path / "c.json")
    browser.open(tmp_path / "r.html")
    assert browser.run("document.getElementById('measure').value") == "local_error"
    figure = "document.querySelector('#tree .figure').textContent"
    for measure, error in (("error", 0.5), ("local_error", 0.125)):
        browser.run(f"state.measure = '{measure}'; drawTree(); drawIcicles()")
        assert float(browser.run(figure)) == error
        buttons = "[...document.querySelectorAll('.icicle button')]"
        drawn = browser.run(f"{buttons}.map(e => e.dataset.tag)")
        assert tags[0] in drawn
    assert browser.complaints() == []


def test_a_run_shows_the_sum_of_its_times(tmp_path: Path, browser: Browser, run: Run) -> None:
    """Equal layers take different times: the line has their sum, the shortest and the longest."""
    file = save_layers(tmp_path, "net.onnx", *["Relu"] * 4)
    ran = run("profile", file, "--runs", "1", "--level", "disable", "--output-format", "json")
    (tmp_path / "p.json").write_text(ran.out)
    report(file, tmp_path / "r.html", profile=tmp_path / "p.json")
    times = [m["time"] for m in json.loads(ran.out)["modules"] if m["path"].count(".") == 1]
    assert len(times) == 4
    browser.open(tmp_path / "r.html")
    shown = "[state.measure, document.getElementById('measure').value]"
    assert browser.run(shown) == ["time", "time"]  # the page opens with what was given to it
    browser.run("state.open.add('0'); state.open.add('1'); drawTree()")
    rows = browser.run("[...document.querySelectorAll('#tree .row')].map(e => e.textContent)")
    (line,) = [row for row in rows if "4 x " in row]
    assert f"{sum(times):.1f} µs" in line
    assert f"{min(times):.1f} µs" in line
