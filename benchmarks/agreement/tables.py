"""The cells as markdown: totals by kind, by transformation and by model."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from agreement.cells import Cell
from agreement.plan import FOREIGN, KINDS, TRANSFORMATIONS
from agreement.zoo import ENTRIES

_HEAD = "files | nodes known | exact | in covers | ancestor | unresolved | wrong | right"
_HEAD += " | covers: nodes | precision | recall"
_COUNTS = ("exact", "in_covers", "ancestor", "unresolved", "wrong")

_ABOUT_COVERS = """\
*Covers* are counted for nodes that cover several modules, in truth or as decided. The truth
needs the eager run and the file's own values only: going back from the values that a node
returns, it does all operators up to what it reads, what other nodes compute or the file is given,
what depends on no input, and what other nodes need as well. Precision: the share of the listed
modules that are true ones; recall: the share of the true ones that are listed. Where a node reads
what eager execution never computed, only the modules that made its own values have to be listed;
those of the operators before them may be.

Rows of `onnxruntime-genai` are files that its model builder wrote from the model's folder, at a
width that it takes (`pip install --group builders`; else the rows say so). Values of its fp32
files are held against the eager run; fp16 and int4 have the truth of the fp32 file."""


def markdown(cells: Sequence[Cell]) -> str:
    """The whole report."""
    return "\n".join(_lines(cells)) + "\n"


def summary(cells: Sequence[Cell]) -> str:
    """Totals by kind and transformation, for the terminal."""
    return "\n".join([*_by_kind(cells), "", *_by_transformation(cells)])


def _lines(cells: Sequence[Cell]) -> Iterator[str]:
    yield "# Agreement with eager execution"
    yield ""
    yield "`make agreement` writes this page, and every cell to `temp/agreement/cells.json`. A cell"
    yield "is one transformation of one model. Shares are of the nodes whose truth is known."
    yield "*Right*: exact or in the covers. The matcher was not tuned on held-out models; those"
    yield "that were used later to mend wrong nodes (notes 007 and 009) count as the others now."
    yield "Files that onnxruntime makes for the processor (`onnxruntime all`) and 8-bit products"
    yield "differ from processor to processor, and so do their cells: compare runs of one machine."
    yield f"{len({cell.model for cell in cells})} of {len(ENTRIES)} models were measured."
    yield ""
    yield from _ABOUT_COVERS.splitlines()
    yield ""
    yield "## By what became of the numbers"
    yield ""
    yield from _by_kind(cells)
    yield ""
    yield "## By transformation"
    yield ""
    yield from _by_transformation(cells)
    yield ""
    yield "## Foreign files"
    yield ""
    yield from _foreign(cells)
    yield ""
    yield "## By model (foreign files aside)"
    yield ""
    yield from _grouped("model", _own(cells), lambda c: c.model + _mark(c))
    yield ""
    yield "## What could not be made, and what failed"
    yield ""
    yield from _troubles(cells)


def _mark(cell: Cell) -> str:
    return " (held out)" if cell.held_out else ""


def _own(cells: Iterable[Cell]) -> list[Cell]:
    return [c for c in cells if c.kind != FOREIGN]


def _by_kind(cells: Sequence[Cell]) -> Iterator[str]:
    def kind(cell: Cell) -> str:
        return cell.kind + _mark(cell)

    ordered = sorted(_own(cells), key=lambda c: (c.held_out, KINDS.index(c.kind)))
    yield from _grouped("kind", ordered, kind)


def _by_transformation(cells: Sequence[Cell]) -> Iterator[str]:
    names = list(TRANSFORMATIONS)
    ordered = sorted(_own(cells), key=lambda c: names.index(c.transform))
    yield from _grouped("transformation", ordered, lambda c: c.transform)


def _grouped(title: str, cells: Iterable[Cell], by: Callable[[Cell], str]) -> Iterator[str]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.status != "not possible":
            groups.setdefault(by(cell), []).append(cell)
    yield f"| {title} | {_HEAD} |"
    yield "|---|" + "---|" * (_HEAD.count("|") + 1)
    for name, group in groups.items():
        yield f"| {name} | {_row(group)} |"


def _row(cells: Sequence[Cell]) -> str:
    known, nodes = sum(c.known for c in cells), sum(c.nodes for c in cells)
    counts = {name: sum(getattr(c, name) for c in cells) for name in _COUNTS}
    right = counts["exact"] + counts["in_covers"]
    parts = [
        str(len(cells)),
        f"{known} ({_share(known, nodes)})",
        *(f"{count} ({_share(count, known)})" for count in counts.values()),
        _share(right, known),
        str(sum(c.fused for c in cells)),
        _share(sum(c.claimed_right for c in cells), sum(c.claimed for c in cells)),
        _share(sum(c.covered for c in cells), sum(c.to_cover for c in cells)),
    ]
    return " | ".join(parts)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _foreign(cells: Sequence[Cell]) -> Iterator[str]:
    """Each row of foreign files: how many were refused, and what the others were given."""
    yield "| transformation | files | refused | tagged nodes | wrong | what it said, once |"
    yield "|---|---|---|---|---|---|"
    foreign = [c for c in cells if c.kind == FOREIGN and c.status != "not possible"]
    for name in dict.fromkeys(c.transform for c in foreign):
        group = [c for c in foreign if c.transform == name]
        refused = sum(c.status == "refused" for c in group)
        tagged, wrong = sum(c.tagged for c in group), sum(c.wrong for c in group)
        others = [c.said for c in group if c.status != "refused"] or [c.said for c in group]
        yield f"| {name} | {len(group)} | {refused} | {tagged} | {wrong} | {_cell(others[0])} |"


def _troubles(cells: Sequence[Cell]) -> Iterator[str]:
    """Each reason once, with the models that it is true of."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for c in cells:
        if c.status in {"not possible", "failed"} or (c.status == "refused" and c.kind != FOREIGN):
            # a refusal has numbers in it: one stands for all
            said = c.said if c.status != "refused" else ""
            groups.setdefault((c.status, c.transform, said), []).append(c)
    yield "| | transformation | models | the first line of what was said |"
    yield "|---|---|---|---|"
    for (status, transform, _), group in groups.items():
        models = ", ".join(c.model for c in group)
        yield f"| {status} | {transform} | {models} | {_cell(group[0].said)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
