"""Trees and tables of analyze in terminals of any width."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from modelexport.cli.render_module_table import module_table
from modelexport.cli.render_module_tree import module_tree
from modelexport.cli.tables import Grid
from modelexport.rewriter import Analysis, analyze
from tests.helpers.printed import RUNS, printed, save_layers


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    return analyze(save_layers(tmp_path, "net.onnx", *RUNS), dims={"N": 2})


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_tree_fits_a_terminal(analysis: Analysis, width: int) -> None:
    """A line that is too long is cut, so that the tree stays a tree."""
    whole = printed(module_tree(analysis, every_module=False), 1000).splitlines()
    lines = printed(module_tree(analysis, every_module=False), width).splitlines()
    assert whole
    for line, full in zip(lines, whole, strict=True):
        assert cell_len(line) <= width
        cut = line.rstrip().removesuffix("…")
        assert full.startswith(cut)
        assert (cut == full.rstrip()) == (len(full.rstrip()) <= width)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_fits_a_terminal(analysis: Analysis, width: int) -> None:
    """Columns that do not fit are left out and named; numbers are never cut."""
    grid = module_table([analysis], every_module=False)
    text = printed(grid, width)
    head, *lines = text.splitlines()
    assert max(map(cell_len, (head, *lines))) <= width
    missing = [name for name in (c.removeprefix(">") for c in grid.columns) if name not in head]
    assert missing
    listed = text.rpartition("(the terminal is too narrow to show: ")[2]
    assert " ".join(listed.split()).rstrip(")").split(", ") == missing
    shown = [n for n, c in enumerate(grid.columns) if c.startswith(">") and c[1:] not in missing]
    assert shown
    assert grid.rows
    for row, line in zip(grid.rows, lines, strict=False):
        assert [number for number in shown if f" {row[number]}" in line] == shown


def test_a_wide_table_is_whole() -> None:
    """Nothing is left out of a terminal that has room, and nothing that is not optional."""
    grid = Grid(["name", ">count", "remark"], [["a", "1", "x" * 30]], optional=["remark"])
    assert "x" * 30 in printed(grid, 60)
    narrow = printed(grid, 30)
    assert "remark" in narrow.splitlines()[-1]
    assert narrow.splitlines()[1].split() == ["a", "1"]
    kept = Grid(grid.columns, grid.rows)
    assert "…" in printed(kept, 30)


def test_columns_with_the_same_head_are_left_out_together() -> None:
    """As of two files that have one name, in different folders."""
    grid = Grid(["module", ">a: bytes", ">a: bytes"], [["m", "1" * 9, "2" * 9]], [">a: bytes"])
    assert printed(grid, 25).splitlines()[1].split() == ["m"]
    assert printed(grid, 40).splitlines()[1].split() == ["m", "1" * 9, "2" * 9]


PATHS = [f"/Net/encoder/layer.{number}/attention/output/dense/norm" for number in range(12)]
"""Paths that begin alike, as those of modules do."""


@pytest.mark.parametrize("width", [40, 60, 80])
def test_rows_stay_different(width: int) -> None:
    """The end of a path is kept, and other texts give way to it."""
    rows = [[path, "Add 3, MatMul 2, Reshape 4, Transpose 5, 10 more", "1.5"] for path in PATHS]
    grid = Grid(["module", "gained", ">error"], rows)
    _, *lines = printed(grid, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    cells = [line.split()[0] for line in lines]
    for path, cell, line in zip(PATHS, cells, lines, strict=True):
        assert path.endswith(cell.removeprefix("…"))
        assert line.split()[-1] == "1.5"
        assert line.split()[1].startswith("Add")
    if width >= 60:
        assert len(set(cells)) == len(PATHS)
    if width == 80:
        assert cells == PATHS


def test_a_list_of_paths_keeps_its_beginning() -> None:
    """Its first path is whole, where there is room for it."""
    grid = Grid([">nodes", "inputs"], [["1", ", ".join(PATHS)]])
    assert f"{PATHS[0]}, " in printed(grid, 80)
