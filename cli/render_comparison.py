"""Printing a comparison: as text and as markdown."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelexport.cli import render_model_comparison
from modelexport.cli.render_errors import Section, number, numeric_sections, verdict
from modelexport.cli.tables import Grid, list_counts, plural, short_count
from modelexport.rewriter import ModelComparison
from modelexport.support.visible_text import markdown_text

if TYPE_CHECKING:
    from modelexport.rewriter import Comparison, Deviation, FileFacts, NumericComparison


def text(result: "Comparison | ModelComparison", *, every: bool) -> Iterator[str | Grid]:
    """The comparison as lines and tables.

    Args:
        result: The comparison.
        every: Whether to include modules and values without a difference.
    """
    for section in _all_sections(result, every=every):
        yield section.title
        for line in section.lines:
            yield f"  {line}"
        if section.grid is not None and section.grid.rows:
            yield section.grid


def markdown(result: "Comparison | ModelComparison", *, every: bool) -> str:
    """The comparison as a markdown document.

    Args:
        result: The comparison.
        every: Whether to include modules and values without a difference.
    """
    names = _names(result)
    blocks = [markdown_text(f"# {names[0]} and {names[1]}")]
    for section in _all_sections(result, every=every):
        blocks.append(f"**{markdown_text(section.title)}**")
        if section.lines:
            blocks.append("\n".join(f"- {markdown_text(line)}" for line in section.lines))
        if section.grid is not None and section.grid.rows:
            blocks.append(section.grid.markdown())
    return "\n\n".join(blocks)


def _names(result: "Comparison | ModelComparison") -> tuple[str, str]:
    """The names of both sides."""
    if isinstance(result, ModelComparison):
        return result.source, result.file
    return result.a.file, result.b.file


def _all_sections(result: "Comparison | ModelComparison", *, every: bool) -> Iterator[Section]:
    if isinstance(result, ModelComparison):
        return render_model_comparison.sections(result, every=every)
    return _sections(result, every=every)


def _sections(result: "Comparison", *, every: bool) -> Iterator[Section]:
    yield _files(result)
    yield _modules(result, every=every)
    if result.numeric is not None:
        values = _values(result.numeric, every=every)
        yield from numeric_sections(result.numeric, values, "--suggest")
        if result.numeric.unaligned:
            yield _unaligned(result.numeric)


def _files(result: "Comparison") -> Section:
    """The two files and the verdict."""
    outcome = "no difference was found" if result.same else "they differ"
    if result.module is not None:
        outcome += f" in {result.module}"
    files = [f"A {_file(result.a)}", f"B {_file(result.b)}"]
    notes = [f"note: {note}" for note in result.notes]
    return Section(f"{result.a.file} and {result.b.file}: {outcome}", [*files, *notes])


def _file(facts: "FileFacts") -> str:
    untagged = f" ({list_counts(facts.untagged)} without a tag)" if facts.untagged else ""
    return (
        f"{facts.file}: {plural(facts.nodes, 'node')}, {facts.tagged} tagged{untagged}, "
        f"{short_count(facts.parameters)} parameters, {short_count(facts.bytes)} bytes of weights"
    )


def _modules(result: "Comparison", *, every: bool) -> Section:
    """What the modules gained and lost."""
    rows = []
    for row in result.modules if every else result.changes():
        covered = list_counts(row.covered_b)
        operators = [list_counts(row.gained), list_counts(row.lost), covered]
        nodes = _change(row.nodes_a, row.nodes_b)
        weights = [_change(row.parameters_a, row.parameters_b), _change(row.bytes_a, row.bytes_b)]
        rows.append([row.tag, row.status, nodes, *operators, *weights])
    heads = ["module", "", ">nodes", "gained", "lost", "done by", ">params", ">bytes"]
    lines = []
    if result.gained:
        lines.append(f"gained in all: {list_counts(result.gained, None)}")
    if result.lost:
        lines.append(f"lost in all: {list_counts(result.lost, None)}")
    changed = sum(1 for _ in result.changes())
    title = f"{changed} of {plural(len(result.modules), 'module')} differ in operators or sizes"
    return Section(title, lines, Grid(heads, rows, ["done by", ">params", ">bytes", "lost"]))


def _change(a: int, b: int) -> str:
    return short_count(a) if a == b else f"{short_count(a)} → {short_count(b)}"


def _values(result: "NumericComparison", *, every: bool) -> Section:
    """The values that were compared, and where they diverge first."""
    inputs = result.inputs if result.inputs.endswith(".npz") else f"{result.inputs} inputs"
    compared = f"{plural(len(result.values), 'value')} compared on {inputs}"
    rows = [
        [value.tag, _marks(value), _operators(value), "x".join(map(str, value.shape)),
         f"{value.max_abs:.3g}", number(value.relative, ".3g"),
         number(value.cosine, ".6f"), number(value.snr_db, ".1f")]
        for value in result.values
        if every or value.diverges or value.paired_by == "output"
    ]  # fmt: skip
    heads = [
        "module",
        "status",
        "operators",
        ">shape",
        ">max abs",
        ">relative",
        ">cosine",
        ">SNR dB",
    ]
    lines = [
        f"{value.tag} begins at {', '.join(value.source_lines)}"
        for value in result.values
        if value.begins and value.source_lines
    ]
    begins = verdict(result.first, result.cause, result.tolerance)
    optional = ["operators", ">cosine", ">shape", ">max abs"]
    return Section(f"{compared}: {begins}", lines, Grid(heads, rows, optional))


def _unaligned(result: "NumericComparison") -> Section:
    """The values that could not be compared."""
    lines = [
        f"{value.file.upper()} {value.tag}: {value.value} ({value.op}): {value.reason}"
        for value in result.unaligned
    ]
    return Section(f"{plural(len(lines), 'value')} could not be aligned", lines)


def _marks(value: "Deviation") -> str:
    marks = ["begins" if value.begins else str(value.status)]
    if value.layout is not None:
        marks.append(f"axes {value.layout}")
    if value.paired_by == "output":
        marks.append("output")
    if value.unlike:
        marks.append(f"{value.unlike} not finite")
    return ", ".join(marks)


def _operators(value: "Deviation") -> str:
    return value.a_op if value.a_op == value.b_op else f"{value.a_op} / {value.b_op}"
