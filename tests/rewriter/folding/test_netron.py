"""Netron, in a real browser: what it shows of annotated and folded files."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import netron
import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import annotate
from tests.helpers.browser import Browser, started_browser
from tests.helpers.handmade import two_layers, two_layers_record

_MOST_SECONDS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an annotated file, and one whose modules are functions."""
    folder = tmp_path_factory.mktemp("netron")
    onnx.save(two_layers(), folder / "net.onnx")
    annotate(folder / "net.onnx", two_layers_record(), folder / "a.onnx")
    inject = [Inject.METADATA, Inject.FUNCTIONS]
    annotate(folder / "net.onnx", two_layers_record(), folder / "f.onnx", inject=inject)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started_browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def _wait_for(browser: Browser, code: str) -> None:
    end = time.monotonic() + _MOST_SECONDS
    while not browser.run(code):
        assert time.monotonic() < end, code
        time.sleep(0.05)


@pytest.fixture
def show(browser: Browser) -> Iterator[object]:
    """Opens a file in Netron."""

    def open_file(path: Path) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = free.getsockname()
        netron.start(str(path), address=address, browse=False)
        url = f"http://{address[0]}:{address[1]}/"
        browser.send("Network.setCookie", name="consent", value="1", url=url)
        browser.send("Page.navigate", url=url)
        _wait_for(browser, "document.querySelectorAll('g.node path.node-border[d]').length > 0")

    yield open_file
    netron.stop()


def _nodes(browser: Browser) -> list[str]:
    """The names of the nodes that are shown."""
    ids: list[str] = browser.run("[...document.querySelectorAll('g.node')].map(e => e.id)")
    return [name.removeprefix("node-name-") for name in ids if name.startswith("node-name-")]


def _click(browser: Browser, node: str, text: str) -> None:
    """Click on the part of a node that has a text."""
    browser.run(
        f"[...document.getElementById({json.dumps('node-name-' + node)})"
        f".querySelectorAll('.node-item')].find(e => e.textContent.startsWith({json.dumps(text)}))"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )


def test_metadata_of_a_node_is_shown(show, browser: Browser, folder: Path) -> None:  # type: ignore[no-untyped-def]
    """A click on a node opens its properties, with its tag among them."""
    show(folder / "a.onnx")
    node = onnx.load(folder / "a.onnx").graph.node[3]
    assert node.name in _nodes(browser)
    _click(browser, node.name, node.op_type)
    entries = {entry.key: entry.value for entry in node.metadata_props}
    assert entries[keys.TAG]
    sidebar = "document.getElementById('sidebar').textContent"
    _wait_for(browser, f"{sidebar}.includes({json.dumps(entries[keys.TAG])})")
    shown = browser.run(sidebar)
    assert [value for value in entries.values() if value not in shown] == []


def test_a_function_is_drilled_into(show, browser: Browser, folder: Path) -> None:  # type: ignore[no-untyped-def]
    """A module is one node; its function opens, and shows the nodes of the module."""
    show(folder / "f.onnx")
    model = onnx.load(folder / "f.onnx")
    functions = {function.name: function for function in model.functions}
    call = next(node for node in model.graph.node if node.op_type in functions)
    assert sorted(_nodes(browser)) == sorted(node.name for node in model.graph.node)
    _click(browser, call.name, "ƒ")
    inside = [node.name for node in functions[call.op_type].node]
    assert inside
    _wait_for(browser, f"document.getElementById({json.dumps('node-name-' + inside[0])}) !== null")
    assert sorted(_nodes(browser)) == sorted(inside)
