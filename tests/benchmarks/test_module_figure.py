"""The figure of the first page shows what analyze counts, of whatever file it is given."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import onnx
import pytest

from modelexport.rewriter import analyze
from module_figure import MEASURES, draw
from tests.helpers.commands import ROOT, Run, environment
from tests.helpers.handmade import two_layers

SCRIPT = ROOT / "benchmarks" / "module_figure.py"
SHOWN = ROOT / "docs" / "images" / "modules.svg"
LARGEST = 100_000
"""Bytes that the figure in the repository may take."""


@pytest.mark.parametrize("depth", [0, 1, None])
@pytest.mark.parametrize("module", [None, "layer.1"])
def test_a_bar_is_a_row(annotated: Path, module: str | None, depth: int | None) -> None:
    """In each panel as many as rows, each as long as the row's share of the whole file."""
    found = analyze(annotated, module=module, depth=depth, dims={"N": 2})
    names, *panels = draw(found).axes
    assert len(names.texts) == len(found.modules)
    for row, text in zip(found.modules, names.texts, strict=True):
        assert row.tag.endswith(text.get_text())
    for panel, measure in zip(panels, MEASURES, strict=True):
        whole = getattr(found, measure.of)
        assert whole
        shares = [100 * getattr(row, measure.of) / whole for row in found.modules]
        assert [bar.get_width() for bar in panel.patches] == pytest.approx(shares)


def test_the_script_draws_what_the_command_prints(
    annotated: Path, run: Run, tmp_path: Path
) -> None:
    """From JSON to a figure that is read as one; the same bytes each time."""
    (tmp_path / "a.json").write_text(run("analyze", annotated, "--output-format", "json").out)
    made = [_drawn(tmp_path / "a.json", tmp_path / name) for name in ("1.svg", "2.svg")]
    assert made[0].read_bytes() == made[1].read_bytes()
    words = _words(made[0])
    analysis = analyze(annotated)
    assert analysis.modules
    for row in analysis.modules:
        assert any(row.tag.endswith(word) for word in words)
        assert f"{row.nodes / analysis.nodes:.1%}" in words


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    """A file without a hierarchy has no modules: one sentence, and no figure."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    analysis = msgspec.structs.replace(analyze(tmp_path / "plain.onnx"), modules=[])
    (tmp_path / "a.json").write_bytes(msgspec.json.encode(analysis, order="sorted"))
    ran = _ran(tmp_path / "a.json", tmp_path / "a.svg")
    assert ran.returncode == 1
    assert "no modules to draw" in ran.stderr
    assert not (tmp_path / "a.svg").exists()


def test_the_figure_of_the_first_page_is_small_and_shown() -> None:
    """It is a figure of this script, and both first pages show it."""
    assert SHOWN.stat().st_size < LARGEST
    words = _words(SHOWN)
    assert all(any(measure.title in word for word in words) for measure in MEASURES)
    assert "docs/images/modules.svg" in (ROOT / "README.md").read_text()
    assert "images/modules.svg" in (ROOT / "docs" / "index.md").read_text()


def _ran(analysis: Path, figure: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, analysis, figure],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def _drawn(analysis: Path, figure: Path) -> Path:
    ran = _ran(analysis, figure)
    assert ran.returncode == 0, ran.stderr
    return figure


def _words(figure: Path) -> set[str]:
    """The texts of a figure, as they are written in its file."""
    return set(re.findall(r"<text[^>]*>([^<]+)</text>", figure.read_text()))
