"""The summary of all rows, as the page docs/breadth.md."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from breadth.row import Row

_RAN = frozenset({"ran", "export", "annotate", "annotated", "judged", "recorded"})
_EXTERNAL = "a library that is not installed"
_EXAMPLES = 4
"""Maximum number of model types that a line names."""

_LIMIT_PLACE = re.escape("cpu_limit.py")
"""Where the error of the limit comes from."""

_LENGTH = 200
"""Maximum number of characters of a cause."""


def summary(rows: Sequence[Row]) -> str:
    """The figures in a line."""
    count = Counter(row.status for row in rows)
    return f"{len(rows)} types: " + ", ".join(f"{n} {status}" for status, n in count.items())


def markdown(rows: Sequence[Row], all_types: int, *, current: str) -> str:
    """The page.

    Args:
        rows: One row for each type that was measured.
        all_types: Number of types of the installed transformers.
        current: Key of the code as it is.
    """
    return "\n".join(_lines(rows, all_types, current)) + "\n"


def _lines(rows: Sequence[Row], all_types: int, current: str) -> Iterator[str]:
    yield "# Every model type of transformers"
    yield ""
    yield "Written by `make breadth`. Each model type that a mapping of transformers names a model"
    yield "for gets a small configuration, random weights and a folder. modelexport gets the folder"
    yield "and nothing else: it makes the inputs, traces, annotates and validates, and eager"
    yield "execution judges each tag. transformers' default configurations are shrunk by the roles"
    yield "of their fields; no model is known by name."
    yield ""
    versions = Counter(", ".join(" ".join(pair) for pair in row.versions.items()) for row in rows)
    for numbers, count in versions.most_common():
        yield f"Versions of {count} rows: {numbers or 'not kept'}."
    older = sum(row.key != current for row in rows)
    yield f"{len(rows)} types were measured. The transformers that is installed where this page is"
    yield f"written names models for {all_types}; other versions of it name others."
    yield f"{older} of the rows come from an earlier state of the code. Each type has limits of"
    yield "time and memory, which whoever runs it chooses (`python benchmarks/breadth.py --help`)."
    yield ""
    yield from _figures(rows)
    yield from _causes(rows)


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    built = [row for row in rows if row.status != "build"]
    ran = [row for row in built if row.status in _RAN]
    traced = [row for row in ran if row.status != "ran"]
    exported = [row for row in traced if row.exporter not in {"", "eager"}]
    eager = [row for row in traced if row.exporter == "eager"]
    annotated = [row for row in exported if row.status in {"annotated", "judged"}]
    judged = [row for row in annotated if row.status == "judged"]
    table = [
        ("types measured", len(rows), len(rows)),
        ("of these built with random weights", len(built), len(rows)),
        ("of the built ones, run on generated inputs", len(ran), len(built)),
        ("of all measured, run on generated inputs", len(ran), len(rows)),
        ("of those that ran, taken on to tracing", len(traced), len(ran)),
        ("of these exported by one exporter", len(exported), len(traced)),
        ("of these recorded eagerly, as no exporter could", len(eager), len(traced)),
        ("of these exported or recorded", len(exported) + len(eager), len(traced)),
        ("of the exported ones, annotated and validated", len(annotated), len(exported)),
        ("of these judged by eager execution within the limits", len(judged), len(annotated)),
        ("of the judged ones, without a wrong tag", sum(not r.wrong for r in judged), len(judged)),
        (
            "of the annotated ones, valid",
            sum(not row.faults for row in annotated),
            len(annotated),
        ),
    ]
    yield "| | types | share |"
    yield "|---|---|---|"
    for name, count, whole in table:
        yield f"| {name} | {count} | {_share(count, whole)} |"
    yield ""
    verdicts: Counter[str] = Counter()
    for row in judged:
        verdicts.update(row.verdicts)
    known = sum(verdicts.values())
    nodes, tagged = (sum(getattr(row, n) for row in judged) for n in ("nodes", "tagged"))
    yield f"The judged files have {nodes} nodes; {tagged} of them ({_share(tagged, nodes)}) have a"
    yield f"tag. For {known} nodes eager execution shows the module: "
    yield ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()) + "."
    yield ""


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if whole else "-"


def _causes(rows: Iterable[Row]) -> Iterator[str]:
    """What failed, by stage and cause, and the nodes with a wrong tag."""
    rows = list(rows)
    stages = {
        "build": "Not built: transformers' default configuration, or the shrunk one",
        "inputs": "Not run: inputs",
        "export": "Ran, but tracing failed or met the limits",
        "annotate": "Traced, but annotating failed or met the limits",
        "annotated": "Annotated and validated, but not judged",
    }
    for stage, title in stages.items():
        yield from _groups(title, [(row, row.reason) for row in rows if row.status == stage])
    for exporter in sorted({name for row in rows for name in row.refusals}):
        refused = [(r, r.refusals[exporter]) for r in rows if exporter in r.refusals]
        yield from _groups(f"Refused by the exporter {exporter} itself", refused)
    yield from _groups("Wrong tags", [(row, wrong) for row in rows for wrong in row.wrong])
    yield from _groups("Faults of validation", [(r, fault) for r in rows for fault in r.faults])


def _groups(title: str, pairs: Sequence[tuple[Row, str]]) -> Iterator[str]:
    if not pairs:
        return
    groups: dict[str, list[str]] = defaultdict(list)
    texts: dict[str, set[str]] = defaultdict(set)
    for row, reason in pairs:
        groups[cause(reason)].append(row.model_type)
        texts[cause(reason)].add(plain_cause(reason))
    yield f"## {title} ({len(pairs)})"
    yield ""
    yield "| number | cause | types |"
    yield "|---|---|---|"
    for reason, types in sorted(groups.items(), key=lambda group: -len(group[1])):
        names = list(dict.fromkeys(types))
        more = " …" if len(names) > _EXAMPLES else ""
        text = texts[reason].pop() if len(texts[reason]) == 1 else reason
        yield f"| {len(types)} | {text} | {', '.join(names[:_EXAMPLES])}{more} |"
    yield ""


def cause(text: str) -> str:
    """A reason without what is particular about one model: reasons with equal ones are a group."""
    if re.search(r"requires the .* librar|backend", text):
        return _EXTERNAL
    text = re.sub(r"\b\w*[a-z]\w*(?:Model|Config|For[A-Z]\w+)\b|'[^']*'", "…", _essence(text))
    return _cell(re.sub(r"\d+(?:\.\d+)*", "N", text))


def plain_cause(text: str) -> str:
    """A reason as a cell of a table, where all types of a group have the same."""
    return _EXTERNAL if cause(text) == _EXTERNAL else _cell(_essence(text))


def _essence(text: str) -> str:
    """A reason without advice; where no error came first, the inputs that are missing."""
    missing = re.search(r"runs on\. Give (.*?) with --", text)
    if missing is not None:
        return f"no value can be made of {missing[1]}"
    text = re.sub(r"^\w+: no inputs could be made that it runs on ?", "", text)
    text = re.sub(rf" from '[^']*'| \({_LIMIT_PLACE}:\d+\)", "", text)
    return text.partition(". Give ")[0].partition(" To record")[0]


def _cell(text: str) -> str:
    text = text.replace("|", "/").replace("`", "")[:_LENGTH].strip("(). ")
    return text.replace("<", "&lt;").replace("*", "&#42;")
