"""The README's commands and code do what it says."""

import re
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import walk_nodes
from tests.helpers.commands import ROOT
from tests.helpers.documents import command_lines, run_document

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all commands and code of the README ran, in their order."""
    folder = tmp_path_factory.mktemp("readme")
    run_document(README, folder)
    return folder


def test_annotated_file_has_a_tag_on_every_node(folder: Path) -> None:
    """Every file that the README annotates has a tag on every node."""
    outputs = [n for c in command_lines(README) for n in re.findall(r"-o (\S+\.onnx)", c)]
    annotated = [name for name in outputs if name not in {"net.plain.onnx", "folded.onnx"}]
    assert annotated
    for name in annotated:
        nodes = list(walk_nodes(onnx.load(folder / name)))
        assert nodes
        for key, node in nodes:
            names = {entry.key for entry in node.metadata_props}
            names |= {attribute.name for attribute in node.attribute}
            assert {keys.TAG, keys.TAG_ATTRIBUTE} & names, (name, key)


def test_folded_file_has_functions_and_comes_back(folder: Path) -> None:
    """The README's folded file calls functions, and unfolds to the traced graph."""
    folded, flat, plain = (onnx.load(folder / n) for n in ("folded.onnx", "flat.onnx", "net.onnx"))
    calls = [node for node in folded.graph.node if node.domain]
    assert len(calls) > len(folded.functions) > 0
    assert graph_digest(flat) == graph_digest(plain)


def test_strip_gives_back_the_traced_file(folder: Path) -> None:
    """The README's stripped file is the traced one, byte for byte."""
    assert (folder / "net.plain.onnx").read_bytes() == (folder / "net.onnx").read_bytes()


def test_keys_of_the_table_are_the_keys(folder: Path) -> None:
    """The table of keys lists what our metadata consists of."""
    listed = set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE))
    written = {
        entry.key
        for _, node in walk_nodes(onnx.load(folder / "net.annotated.onnx"))
        for entry in node.metadata_props
    }
    assert written <= listed
    assert listed == {keys.TAG, keys.NAMESPACE, keys.EVIDENCE, keys.COVERS}
