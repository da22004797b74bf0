"""Jobs: a plan taken apart into what can run side by side."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import PlanError
from modelexport.hierarchy.source_names import factory_of
from modelexport.pipeline.batch.plan import (
    AnnotateSettings,
    Matrix,
    Model,
    Plan,
    Step,
    TraceOptions,
    ValidateOptions,
    size_in_bytes,
)

_TRACED: tuple[tuple[Step, ...], ...] = (
    (Step.TRACE,),
    (Step.TRACE, Step.ANNOTATE),
    (Step.TRACE, Step.ANNOTATE, Step.VALIDATE),
    (Step.EXPORT,),
    (Step.EXPORT, Step.VALIDATE),
)
_GIVEN = ((Step.ANNOTATE,), (Step.ANNOTATE, Step.VALIDATE), (Step.VALIDATE,))
_TABLES = {
    Step.TRACE: {"trace"},
    Step.ANNOTATE: {"annotate"},
    Step.EXPORT: {"trace", "annotate"},
    Step.VALIDATE: {"validate"},
}
"""The tables of options that a step reads."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One model, one combination of the matrix, all its steps.

    Attributes:
        id: Unique in the plan; what its files are called.
        steps: What is done, in this order.
        source, onnx, record, inputs: As of the plan's model.
        trace, annotate, validate: Options, with defaults and matrix applied.
        timeout: Seconds.
        memory: Bytes.
        threads: Threads; None to share the cores with the other workers.
    """

    id: str
    steps: tuple[Step, ...]
    source: str | None = None
    onnx: str | None = None
    record: str | None = None
    inputs: tuple[str, ...] = ()
    trace: TraceOptions = TraceOptions()
    annotate: AnnotateSettings = AnnotateSettings()
    validate: ValidateOptions = ValidateOptions()
    timeout: float | None = None
    memory: int | None = None
    threads: int | None = None

    def file(self, kind: str) -> str:
        """The name of one of its files: `onnx`, `trace.json`, `annotated.onnx`, `report.json`."""
        return f"{self.id}.{kind}"

    @property
    def traces(self) -> bool:
        """Whether it needs torch."""
        return bool({Step.TRACE, Step.EXPORT} & set(self.steps))

    def outputs(self) -> list[str]:
        """The files that it is to write; weights beside a large one are not foreseen."""
        found = []
        if self.traces:
            found += [self.file("onnx"), self.file("trace.json")]
        if Step.ANNOTATE in self.steps:
            found.append(self.file("annotated.onnx"))
        if self.annotate.report and {Step.ANNOTATE, Step.EXPORT} & set(self.steps):
            found.append(self.file("report.json"))
        return found


def jobs_of(plan: Plan, raw: dict[str, Any], where: Path) -> list[Job]:
    """Every job of a plan, in its order.

    Args:
        plan: The plan.
        raw: The same as it was written: a key that a model leaves out is the defaults' to say.
        where: The plan's file, for messages.

    Raises:
        PlanError: Steps, sources or options do not fit together.
    """
    defaults = raw.get("defaults", {})
    jobs: list[Job] = []
    for index, (model, written) in enumerate(zip(plan.models, raw["models"], strict=True)):
        at = f"{where}: $.models[{index}]"
        steps = _steps(model, plan, at)
        read = set().union(*(_TABLES[step] for step in steps))
        if idle := sorted(({"trace", "annotate", "validate"} & set(written)) - read):
            raise PlanError(f"{at}.{idle[0]}: none of its steps ({', '.join(steps)}) reads this.")
        merged = _merged(defaults, written)
        matrix = plan.matrix if model.matrix is None else model.matrix
        jobs += [_job(model, steps, merged, cell) for cell in _cells(matrix, read)]
    return jobs


def _steps(model: Model, plan: Plan, at: str) -> tuple[Step, ...]:
    """The steps of a model, which must lead from what there is to what is asked."""
    if (model.source is None) == (model.onnx is None):
        raise PlanError(f"{at}: a model needs either a source or an onnx file.")
    if model.record is not None and model.onnx is None:
        raise PlanError(f"{at}.record: a record belongs to an onnx file, not to a source.")
    usual = [Step.ANNOTATE] if model.onnx else [Step.TRACE, Step.ANNOTATE]
    steps = tuple(model.steps or plan.defaults.steps or usual)
    if model.onnx and not model.steps:
        steps = tuple(s for s in steps if s not in {Step.TRACE, Step.EXPORT}) or (Step.ANNOTATE,)
    allowed = _GIVEN if model.onnx else _TRACED
    if steps not in allowed:
        ways = "; ".join(", ".join(way) for way in allowed)
        what = "an onnx file" if model.onnx else "a source"
        raise PlanError(f"{at}.steps: {', '.join(steps)} is no way from {what}; there are {ways}.")
    return steps


def _merged(defaults: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """A model's settings over the defaults, table by table."""
    tables = {
        name: defaults.get(name, {}) | model.get(name, {})
        for name in ("trace", "annotate", "validate")
    }
    return defaults | model | tables


def _cells(matrix: Matrix, read: set[str]) -> Iterator[dict[str, Any]]:
    """Every combination of the axes that a model's steps read."""
    known = set()
    for table, options in (("trace", TraceOptions), ("annotate", AnnotateSettings)):
        known |= set(options.__struct_fields__) if table in read else set()
    axes = {n: v for n, v in msgspec.to_builtins(matrix).items() if v and n in known}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _job(model: Model, steps: tuple[Step, ...], merged: dict[str, Any], cell: Any) -> Job:
    cell = {
        name: [value] if name in {"inject", "functions"} and isinstance(value, str) else value
        for name, value in cell.items()
    }
    tables: dict[str, Any] = {}
    for name, kind in (("trace", TraceOptions), ("annotate", AnnotateSettings)):
        mine = {axis: value for axis, value in cell.items() if axis in kind.__struct_fields__}
        tables[name] = msgspec.convert(merged[name] | mine, kind)
    memory = merged.get("memory")
    return Job(
        id="-".join([model.name or _name(model), *map(_label, cell, cell.values())]),
        steps=steps,
        source=model.source,
        onnx=model.onnx,
        record=model.record,
        inputs=tuple(model.inputs),
        validate=msgspec.convert(merged["validate"], ValidateOptions),
        timeout=merged.get("timeout"),
        memory=None if memory is None else size_in_bytes(memory),
        threads=merged.get("threads"),
        **tables,
    )


def _name(model: Model) -> str:
    """A name from what the user calls the model: the factory, the folder, the file."""
    if model.onnx is not None:
        return _safe(Path(model.onnx).stem)
    assert model.source is not None
    factory = factory_of(model.source)
    return _safe(factory[1] if factory else Path(model.source).name or "model")


def _label(axis: str, value: object) -> str:
    """A value of the matrix within a job's name."""
    if isinstance(value, bool):
        return axis if value else f"not-{axis}"
    if isinstance(value, int):
        return f"{axis}{value}"
    return _safe("+".join(value) if isinstance(value, list) else str(value))


def _safe(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text).lstrip(".") or "_"
