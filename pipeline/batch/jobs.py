"""Jobs: a plan split into pieces of work that can run at the same time."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import PlanError
from modelexport.hierarchy.export_config import TraceOptions
from modelexport.hierarchy.source_names import parse_factory
from modelexport.pipeline.batch.plan import (
    AnnotateSettings,
    Matrix,
    Model,
    Plan,
    Step,
    ValidateSettings,
    size_in_bytes,
)

_STEPS_FROM_SOURCE: tuple[tuple[Step, ...], ...] = (
    (Step.TRACE,),
    (Step.TRACE, Step.ANNOTATE),
    (Step.TRACE, Step.ANNOTATE, Step.VALIDATE),
    (Step.EXPORT,),
    (Step.EXPORT, Step.VALIDATE),
)
"""The sequences of steps that a source allows."""

_STEPS_FROM_FILE = ((Step.ANNOTATE,), (Step.ANNOTATE, Step.VALIDATE), (Step.VALIDATE,))
"""The sequences of steps that an existing ONNX file allows."""

_TABLES_OF_STEP = {
    Step.TRACE: {"trace"},
    Step.ANNOTATE: {"annotate"},
    Step.EXPORT: {"trace", "annotate"},
    Step.VALIDATE: {"validate"},
}
"""The tables of options that a step reads."""

_TABLES = ("trace", "annotate", "validate")

_TABLES_OF_MATRIX = (("trace", TraceOptions), ("annotate", AnnotateSettings))
"""The tables whose options a matrix can vary."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """All steps for one model and one combination of the matrix.

    Attributes:
        id: Unique in the plan. It is the name of the job's files.
        steps: The steps, in order.
        source, onnx, record, inputs: As in the plan's model.
        trace, annotate, validate: Options, with defaults and matrix applied.
        timeout: Limit in seconds.
        memory: Limit in bytes.
        threads: Number of threads; None to share the cores with the other workers.
        parts: Whether the model is a folder of parts.
    """

    id: str
    steps: tuple[Step, ...]
    source: str | None = None
    onnx: str | None = None
    record: str | None = None
    inputs: tuple[str, ...] = ()
    trace: TraceOptions = TraceOptions()
    annotate: AnnotateSettings = AnnotateSettings()
    validate: ValidateSettings = ValidateSettings()
    timeout: float | None = None
    memory: int | None = None
    threads: int | None = None
    parts: bool = False

    def file(self, kind: str) -> str:
        """The name of one of its files: `onnx`, `trace.json`, `annotated.onnx`, `report.json`.

        Where the model is a folder of parts, a folder stands in place of an ONNX file.
        """
        is_folder = self.parts and kind.endswith("onnx")
        return f"{self.id}.{kind.removesuffix('onnx') + 'parts' if is_folder else kind}"

    @property
    def traces(self) -> bool:
        """Whether it needs torch."""
        return bool({Step.TRACE, Step.EXPORT} & set(self.steps))

    def outputs(self) -> list[str]:
        """The files and folders that it will write, except the weights beside a large model."""
        names = []
        if self.traces:
            names.append(self.file("onnx"))
        if self.traces and not self.parts:
            names.append(self.file("trace.json"))
        if Step.ANNOTATE in self.steps:
            names.append(self.file("annotated.onnx"))
        if self.annotate.report and {Step.ANNOTATE, Step.EXPORT} & set(self.steps):
            names.append(self.file("report.json"))
        return names


MAX_JOBS = 10_000
"""Maximum number of jobs of a plan."""


def jobs_of(plan: Plan, raw: dict[str, Any], name: str) -> list[Job]:
    """Every job of a plan, in the plan's order.

    Args:
        plan: The plan.
        raw: The plan as it was written. It tells a key that a model leaves out from one whose
            value is the default.
        name: Name of the plan's file, for messages.

    Raises:
        PlanError: Steps, sources or options do not fit together, or there are too many jobs.
    """
    defaults = raw.get("defaults", {})
    jobs: list[Job] = []
    for index, (model, written) in enumerate(zip(plan.models, raw["models"], strict=True)):
        place = f"{name}: $.models[{index}]"
        steps = _steps(model, plan, place)
        read = set().union(*(_TABLES_OF_STEP[step] for step in steps))
        if unread := sorted((set(_TABLES) & set(written)) - read):
            raise PlanError(
                f"{place}.{unread[0]}: none of its steps ({', '.join(steps)}) reads this."
            )
        settings = _with_defaults(written, defaults)
        matrix = plan.matrix if model.matrix is None else model.matrix
        cells = itertools.islice(_cells(matrix, read), MAX_JOBS + 1 - len(jobs))
        jobs += [_job(model, steps, settings, cell) for cell in cells]
        if len(jobs) > MAX_JOBS:
            raise PlanError(f"{place}: the plan has more than {MAX_JOBS:,} jobs; split it.")
    return jobs


def _steps(model: Model, plan: Plan, place: str) -> tuple[Step, ...]:
    """The steps of a model, checked against what the model is."""
    if (model.source is None) == (model.onnx is None):
        raise PlanError(f"{place}: a model needs either a source or an onnx file.")
    if model.record is not None and model.onnx is None:
        raise PlanError(f"{place}.record: a record belongs to an onnx file, not to a source.")
    default = [Step.ANNOTATE] if model.onnx else [Step.TRACE, Step.ANNOTATE]
    steps = tuple(model.steps or plan.defaults.steps or default)
    if model.onnx and not model.steps:
        steps = tuple(s for s in steps if s not in {Step.TRACE, Step.EXPORT}) or (Step.ANNOTATE,)
    allowed = _STEPS_FROM_FILE if model.onnx else _STEPS_FROM_SOURCE
    if steps not in allowed:
        choices = "; ".join(", ".join(sequence) for sequence in allowed)
        start = "an onnx file" if model.onnx else "a source"
        raise PlanError(
            f"{place}.steps: {', '.join(steps)} cannot be done from {start}; choose from {choices}."
        )
    return steps


def _with_defaults(written: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A model's settings over the defaults; its tables are merged key by key."""
    tables = {name: defaults.get(name, {}) | written.get(name, {}) for name in _TABLES}
    return defaults | written | tables


def _cells(matrix: Matrix, read: set[str]) -> Iterator[dict[str, Any]]:
    """Every combination of the matrix's axes that a model's steps read.

    Args:
        matrix: The matrix.
        read: The tables of options that the steps read.
    """
    option_names: set[str] = set()
    for table, options in _TABLES_OF_MATRIX:
        option_names |= set(options.__struct_fields__) if table in read else set()
    axes = {n: v for n, v in msgspec.to_builtins(matrix).items() if v and n in option_names}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _job(
    model: Model, steps: tuple[Step, ...], settings: dict[str, Any], cell: dict[str, Any]
) -> Job:
    cell = {
        name: [value] if name in {"inject", "functions"} and isinstance(value, str) else value
        for name, value in cell.items()
    }
    tables: dict[str, Any] = {}
    for name, options in _TABLES_OF_MATRIX:
        axes = {axis: value for axis, value in cell.items() if axis in options.__struct_fields__}
        tables[name] = msgspec.convert(settings[name] | axes, options)
    memory = settings.get("memory")
    return Job(
        id="-".join([model.name or _name(model), *map(_label, cell, cell.values())]),
        steps=steps,
        source=model.source,
        onnx=model.onnx,
        record=model.record,
        inputs=tuple(model.inputs),
        validate=msgspec.convert(settings["validate"], ValidateSettings),
        timeout=settings.get("timeout"),
        memory=None if memory is None else size_in_bytes(memory),
        threads=settings.get("threads"),
        parts=settings.get("parts", False),
        **tables,
    )


def _name(model: Model) -> str:
    """A name made from the factory, the folder or the file."""
    if model.onnx is not None:
        return _safe(Path(model.onnx).stem)
    assert model.source is not None
    factory = parse_factory(model.source)
    return _safe(factory[1] if factory else Path(model.source).name or "model")


def _label(axis: str, value: object) -> str:
    """A value of the matrix as part of a job's id."""
    if isinstance(value, bool):
        return axis if value else f"not-{axis}"
    if isinstance(value, int):
        return f"{axis}{value}"
    return _safe("+".join(value) if isinstance(value, list) else str(value))


def _safe(text: str) -> str:
    """The text with characters replaced that do not belong in a file name."""
    return re.sub(r"[^\w.+-]", "_", text).lstrip(".") or "_"
