"""Printing the errors of a quantised file by module, and what to leave out of quantisation."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from modelexport.cli.tables import Grid, plural

if TYPE_CHECKING:
    from modelexport.rewriter import ModelComparison, NumericComparison
    from modelexport.rewriter.comparison.quantisation.results import ModuleError, Suggestion
    from modelexport.rewriter.comparison.weights.results import ChangedWeight

    NumericResult = ModelComparison | NumericComparison

_LISTED_NODES = 30
"""The most nodes to exclude that are listed; of more, the command that selects them is enough."""
_LISTED_MODULES = 20
"""The most modules that are listed in a table of errors."""


class Section(NamedTuple):
    """One part of the output.

    Attributes:
        title: Its first line.
        lines: The lines below.
        grid: The table below these, if any.
    """

    title: str
    lines: list[str]
    grid: Grid | None = None


def number(value: float | None, spec: str) -> str:
    """A number in a format; a dash where there is none.

    >>> number(0.12345, ".2f"), number(None, ".2f")
    ('0.12', '-')
    """
    return "-" if value is None else format(value, spec)


def verdict(first: str | None, cause: str | None, tolerance: float) -> str:
    """Where two sides begin to diverge, and which module to look at first.

    Args:
        first: The module in which they diverge first; None where they do not.
        cause: The module that is the likely cause.
        tolerance: Relative distance above which values diverge.
    """
    if first is None:
        return f"nothing is more than {tolerance:g} apart"
    begins = f"they diverge first in {first} (by more than {tolerance:g})"
    return begins if cause in {first, None} else f"{begins}; look at {cause} first"


def numeric_sections(result: "NumericResult", values: Section, way: str) -> Iterator[Section]:
    """What a numeric comparison found.

    In a file of fewer bits, the errors that modules add by themselves come before the values of
    the whole file, in which the errors of all modules before have gathered.

    Args:
        result: The comparison.
        values: The verdict, and the table of values.
        way: The options that measure what to leave out of quantisation.
    """
    if not result.local:
        yield values
    else:
        yield Section(values.title, values.lines)
    if result.weights:
        yield _weights(result.weights)
    if result.local:
        yield _errors(result.local, result.tolerance)
        if result.suggestion is None:
            yield Section(f"{way} measures which modules to leave out of quantisation", [])
        if values.grid is not None and values.grid.rows:
            yield Section(
                "values of the whole file, with the errors of all before", [], values.grid
            )
    if result.suggestion is not None:
        yield _suggestion(result.suggestion)


def _weights(weights: Sequence["ChangedWeight"]) -> Section:
    rows = [
        [weight.tag, weight.weight, f"{weight.relative:.3g}", number(weight.steps, ".1f")]
        for weight in weights[:_LISTED_MODULES]
    ]
    more = len(weights) - len(rows)
    lines = [f"the {plural(more, 'weight')} with the smallest differences are left out"]
    modules = plural(len({weight.tag for weight in weights}), "module")
    title = f"{modules} with other weights than the reference, beyond rounding"
    heads = ["module", "weight", ">relative", ">rounding steps"]
    return Section(title, lines if more else [], Grid(heads, rows, ["weight"]))


def _errors(local: Sequence["ModuleError"], tolerance: float) -> Section:
    shown = [error for error in local if error.relative is None or error.relative > tolerance]
    rows = [
        [error.tag, number(error.relative, ".3g"), number(error.snr_db, ".1f"),
         f"{error.max_abs:.3g}", number(error.cumulative, ".3g"),
         number(error.cumulative_snr_db, ".1f"), str(error.nodes)]
        for error in shown[:_LISTED_MODULES]
    ]  # fmt: skip
    heads = ["module", ">local", ">SNR dB", ">max abs", ">cumulative", ">its SNR dB", ">nodes"]
    more = len(shown) - len(rows)
    lines = [f"the {plural(more, 'module')} with the smallest errors are left out"] if more else []
    title = f"{len(shown)} of {plural(len(local), 'module')} add more than {tolerance:g} of error"
    return Section(title, lines, Grid(heads, rows, [">nodes", ">max abs", ">its SNR dB"]))


def _suggestion(suggestion: "Suggestion") -> Section:
    rows = [
        [str(position), step.tag, f"{step.gain_db:.2f}", f"{step.alone_db:.2f}",
         f"{step.error:.3g}", str(len(step.nodes) + step.without_name)]
        for position, step in enumerate(suggestion.steps, 1)
    ]  # fmt: skip
    heads = [">", "leave out", ">gain dB", ">alone dB", ">error after", ">nodes"]
    title = (
        f"leaving these modules out of quantisation gains most (error of the outputs "
        f"{suggestion.error:.3g}, measured with the nodes of {suggestion.reference})"
    )
    if not suggestion.steps:
        title = "leaving out no single module makes the outputs better"
    lines = []
    names = suggestion.nodes_to_exclude
    if 0 < len(names) <= _LISTED_NODES:
        lines.append(f"nodes_to_exclude: {', '.join(names)}")
    if names:
        lines.append(
            f"nodes of the first: modelexport select {suggestion.reference} --module "
            f"{suggestion.steps[0].tag} --format ort (more --module options for the next ones)"
        )
    if without_name := sum(step.without_name for step in suggestion.steps):
        lines.append(
            f"{plural(without_name, 'node')} of these modules have no name: `annotate --inject "
            "names` gives every node a name of its own"
        )
    if suggestion.unmeasured:
        lines.append(f"not measured: {', '.join(suggestion.unmeasured)}")
    return Section(title, lines, Grid(heads, rows, [">nodes"]))
