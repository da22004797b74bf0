"""How a comparison looks: text and markdown."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelexport.cli.tables import Grid, list_counts, plural, short_count

if TYPE_CHECKING:
    from modelexport.rewriter import Comparison, Deviation, FileFacts, NumericComparison


def text(result: "Comparison", *, every: bool) -> Iterator[str | Grid]:
    """What is printed, part by part."""
    for title, lines, grid in _parts(result, every=every):
        yield title
        for line in lines:
            yield f"  {line}"
        if grid is not None and grid.rows:
            yield grid


def markdown(result: "Comparison", *, every: bool) -> str:
    """The same as a document."""
    found = [f"# {result.a.file} and {result.b.file}"]
    for title, lines, grid in _parts(result, every=every):
        found.append(f"**{title}**")
        if lines:
            found.append("\n".join(f"- {line}" for line in lines))
        if grid is not None and grid.rows:
            found.append(grid.markdown())
    return "\n\n".join(found)


Part = tuple[str, list[str], Grid | None]


def _parts(result: "Comparison", *, every: bool) -> Iterator[Part]:
    verdict = "no difference was found" if result.same else "they differ"
    if result.module is not None:
        verdict += f" in {result.module}"
    files = [f"A {_file(result.a)}", f"B {_file(result.b)}"]
    notes = [f"note: {note}" for note in result.notes]
    yield f"{result.a.file} and {result.b.file}: {verdict}", [*files, *notes], None
    changed = sum(1 for _ in result.changes())
    lines = []
    if result.gained:
        lines.append(f"gained in all: {list_counts(result.gained, None)}")
    if result.lost:
        lines.append(f"lost in all: {list_counts(result.lost, None)}")
    title = f"{changed} of {plural(len(result.modules), 'module')} differ"
    yield title, lines, _modules(result, every=every)
    if result.numeric is not None:
        yield from _numeric(result.numeric, every=every)


def _file(facts: "FileFacts") -> str:
    untagged = f" ({list_counts(facts.untagged)} without a tag)" if facts.untagged else ""
    return (
        f"{facts.file}: {plural(facts.nodes, 'node')}, {facts.tagged} tagged{untagged}, "
        f"{short_count(facts.parameters)} parameters, {short_count(facts.bytes)} bytes of weights"
    )


def _modules(result: "Comparison", *, every: bool) -> Grid:
    rows = []
    for row in result.modules if every else result.changes():
        numbers = [
            _arrow(row.nodes_a, row.nodes_b),
            _arrow(row.parameters_a, row.parameters_b),
            _arrow(row.bytes_a, row.bytes_b),
        ]
        covered = list_counts(row.covered_b)
        operators = [list_counts(row.gained), list_counts(row.lost), covered]
        rows.append([row.tag, row.status, numbers[0], *operators, *numbers[1:]])
    heads = ["module", "", ">nodes", "gained", "lost", "done by", ">params", ">bytes"]
    return Grid(heads, rows)


def _arrow(a: int, b: int) -> str:
    return short_count(a) if a == b else f"{short_count(a)} → {short_count(b)}"


def _numeric(result: "NumericComparison", *, every: bool) -> Iterator[Part]:
    on = f"{plural(len(result.values), 'value')} compared on {_inputs(result.inputs)}"
    where = (
        f"nothing is more than {result.tolerance:g} apart"
        if result.first is None
        else f"they diverge first in {result.first} (by more than {result.tolerance:g})"
    )
    yield f"{on}: {where}", [], _values(result, every=every)
    if result.unaligned:
        lines = [
            f"{each.file.upper()} {each.tag}: {each.value} ({each.op}): {each.reason}"
            for each in result.unaligned
        ]
        yield f"{plural(len(lines), 'value')} could not be aligned", lines, None


def _inputs(inputs: str) -> str:
    return inputs if inputs.endswith(".npz") else f"{inputs} inputs"


def _values(result: "NumericComparison", *, every: bool) -> Grid:
    rows = [
        [value.tag, _mark(value), _operators(value), "x".join(map(str, value.shape)),
         f"{value.max_abs:.3g}", _figure(value.relative, ".3g"),
         _figure(value.cosine, ".6f"), _figure(value.snr_db, ".1f")]
        for value in result.values
        if every or value.diverges or value.paired_by == "output"
    ]  # fmt: skip
    heads = ["module", "", "operators", ">shape", ">max abs", ">relative", ">cosine", ">SNR dB"]
    return Grid(heads, rows)


def _mark(value: "Deviation") -> str:
    marks = ["begins"] if value.begins else ["diverges"] if value.diverges else []
    if value.paired_by == "output":
        marks.append("output")
    if value.unlike:
        marks.append(f"{value.unlike} not finite")
    return ", ".join(marks)


def _operators(value: "Deviation") -> str:
    return value.a_op if value.a_op == value.b_op else f"{value.a_op} / {value.b_op}"


def _figure(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
