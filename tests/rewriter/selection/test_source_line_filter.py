"""Choosing nodes by the line of Python behind them."""

from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import annotate, select_nodes
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record, with_source_lines

RECORD = with_source_lines(two_layers_record(), "models/net.py")


@pytest.fixture
def lined(plain: Path) -> Path:
    """An annotated file with source lines."""
    annotate(plain, RECORD, plain.with_name("lines.onnx"), source_lines=True)
    return plain.with_name("lines.onnx")


@pytest.mark.parametrize(
    ("line", "positions"),
    [
        ("models/net.py:3", [2]),
        ("net.py:3", [2]),
        ("net.py:3-5", [2, 3, 4]),
        ("net.py", list(range(len(RECORD.ops)))),
    ],
)
def test_lines_choose_their_nodes(lined: Path, line: str, positions: list[int]) -> None:
    """One line, a range of lines, a whole file; a file may be named by the end of its path."""
    assert [node.position for node in select_nodes(lined, lines=[line]).nodes] == positions


def test_lines_and_modules_narrow_each_other(lined: Path, run: Run) -> None:
    """Several lines add up; the module leaves those of its nodes."""
    ran = run("select", lined, "--line", "net.py:2", "--line", "net.py:6-7", "--module", "layer.1")
    assert ran.out.split() == [two_layers().graph.node[n].name for n in (5, 6)]


def test_a_record_gives_the_lines(annotated: Path, run: Run) -> None:
    """For a file that was annotated without them."""
    record = annotated.with_name("lines.json")
    record.write_bytes(encode_record(RECORD))
    ran = run("select", annotated, "--record", record, "--line", "net.py:3")
    assert (ran.code, ran.out.split()) == (0, [two_layers().graph.node[2].name])


def test_what_is_behind_each_node_is_in_the_json(lined: Path) -> None:
    """So that scripts can go on with it."""
    nodes = select_nodes(lined, lines=["net.py"]).nodes
    assert [node.source_lines for node in nodes] == [(op.source,) for op in RECORD.ops]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("net.py:99", r"Lines of this file with nodes: 10"),
        ("nets.py:3", r"Files with nodes: models/net.py"),
        ("et.py:3", r"no node is of et.py:3"),
        ("net.py:x", r"is no source line"),
        ("net.py:", r"is no source line"),
        ("net.py:3-x", r"is no source line"),
        (":3", r"is no source line"),
    ],
)
def test_lines_without_nodes_are_refused(lined: Path, line: str, answer: str) -> None:
    """With the lines or files that have some."""
    with pytest.raises(UsageError, match=answer):
        select_nodes(lined, lines=[line])


def test_a_file_without_lines_says_how_to_get_them(annotated: Path) -> None:
    """By a record, or by annotating it with them."""
    with pytest.raises(UsageError, match="--source-lines"):
        select_nodes(annotated, lines=["net.py:3"])


def test_folders_count_as_whole_names(plain: Path) -> None:
    """`net.py` is not `subnet.py`."""
    annotate(plain, with_source_lines(two_layers_record(), "subnet.py"), plain.with_name("s.onnx"),
             source_lines=True)  # fmt: skip
    assert onnx.load(plain.with_name("s.onnx")).graph.node[1].metadata_props
    with pytest.raises(UsageError, match=r"Files with nodes: subnet\.py"):
        select_nodes(plain.with_name("s.onnx"), lines=["net.py:3"])
