"""Printing the comparison of a model in torch with a file."""

from collections.abc import Iterator

from modelexport.cli.render_errors import Section, number, numeric_sections, verdict
from modelexport.cli.tables import Grid, plural
from modelexport.rewriter import ModelComparison, ModuleComparison, ValueStatus


def sections(result: ModelComparison, *, every: bool) -> Iterator[Section]:
    """The parts of the output.

    Args:
        result: The comparison.
        every: Whether to include modules whose values are equal, or not in the file.
    """
    yield _verdict(result)
    values = _modules(result, every=every)
    yield from numeric_sections(result, values, "--suggest --reference FLOAT.onnx")


def _verdict(result: ModelComparison) -> Section:
    inputs = result.inputs if result.inputs.endswith(".npz") else f"{result.inputs} inputs"
    begins = verdict(result.first, result.cause, result.tolerance)
    lines = []
    if result.suspects:
        lines.append(f"or in {', '.join(result.suspects)}, of which the file has no value")
    lines += [
        f"{row.tag} begins at {', '.join(row.source_lines)}"
        for row in result.modules
        if row.begins and row.source_lines
    ]
    lines += [f"note: {note}" for note in result.notes]
    return Section(f"{result.source} and {result.file} on {inputs}: {begins}", lines)


def _modules(result: ModelComparison, *, every: bool) -> Section:
    rows = [_row(row) for row in result.modules if every or row.status is ValueStatus.DIVERGES]
    counts = ", ".join(f"{count} {status}" for status, count in result.counts.items() if count)
    title = f"{plural(len(result.modules), 'call')} of modules: {counts}"
    heads = [
        *("module", "", "value", ">shape", ">max abs", ">relative", ">cosine", ">SNR dB"),
        "remark",
    ]
    return Section(
        title, [], Grid(heads, rows, ["remark", ">cosine", "value", ">shape", ">max abs"])
    )


def _row(row: ModuleComparison) -> list[str]:
    tag = f"{row.tag} (begins)" if row.begins else row.tag
    remark = row.reason or ""
    if row.layout is not None:
        remark = f"axes in the order {row.layout}" if row.layout else "in another order"
    value = "-" if row.value is None else row.value
    shape = "x".join(map(str, row.shape))
    errors = [number(row.max_abs, ".3g"), number(row.relative, ".3g"), number(row.cosine, ".6f")]
    return [tag, row.status, value, shape, *errors, number(row.snr_db, ".1f"), remark]
