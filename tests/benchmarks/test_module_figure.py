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
FIGURE = ROOT / "docs" / "images" / "modules.svg"
MOST_BYTES = 100_000
"""The figure in the repository has fewer."""


@pytest.mark.parametrize("depth", [0, 1, None])
@pytest.mark.parametrize("module", [None, "layer.1"])
def test_a_bar_is_a_row(annotated: Path, module: str | None, depth: int | None) -> None:
    """In each panel as many as rows, each as long as the row's share of the whole file."""
    analysis = analyze(annotated, module=module, depth=depth, dims={"N": 2})
    names, *panels = draw(analysis).axes
    assert len(names.texts) == len(analysis.modules)
    for row, text in zip(analysis.modules, names.texts, strict=True):
        assert row.tag.endswith(text.get_text())
    for panel, measure in zip(panels, MEASURES, strict=True):
        whole = getattr(analysis, measure.of)
        assert whole
        shares = [100 * getattr(row, measure.of) / whole for row in analysis.modules]
        assert [bar.get_width() for bar in panel.patches] == pytest.approx(shares)


def test_the_script_draws_what_the_command_prints(
    annotated: Path, run: Run, tmp_path: Path
) -> None:
    """From JSON to a figure that is read as one; the same bytes each time."""
    (tmp_path / "a.json").write_text(run("analyze", annotated, "--output-format", "json").out)
    figures = [_drawn(tmp_path / "a.json", tmp_path / name) for name in ("1.svg", "2.svg")]
    assert figures[0].read_bytes() == figures[1].read_bytes()
    words = _words(figures[0])
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
    result = _run_script(tmp_path / "a.json", tmp_path / "a.svg")
    assert result.returncode == 1
    assert "no modules to draw" in result.stderr
    assert not (tmp_path / "a.svg").exists()


def test_the_figure_of_the_first_page_is_small_and_shown() -> None:
    """It is a figure of this script, and both first pages show it."""
    assert FIGURE.stat().st_size < MOST_BYTES
    words = _words(FIGURE)
    assert all(any(measure.title in word for word in words) for measure in MEASURES)
    assert "docs/images/modules.svg" in (ROOT / "README.md").read_text()
    assert "images/modules.svg" in (ROOT / "docs" / "index.md").read_text()


def _run_script(analysis: Path, figure: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, analysis, figure],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def _drawn(analysis: Path, figure: Path) -> Path:
    result = _run_script(analysis, figure)
    assert result.returncode == 0, result.stderr
    return figure


def _words(figure: Path) -> set[str]:
    """The texts of a figure, as they are written in its file."""
    return set(re.findall(r"<text[^>]*>([^<]+)</text>", figure.read_text()))
