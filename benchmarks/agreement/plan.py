"""The rows of the table: what each file starts from, and the steps that make it."""

from dataclasses import dataclass

from agreement.builders import PROVIDERS
from agreement.kept import (
    CUT_HEAD,
    CUT_MIDDLE,
    EXPANDED,
    GRAPHSURGEON,
    INLINED,
    ONNXSIM,
    ONNXSLIM,
    OPSET_DOWN,
    OPSET_UP,
    ORT_ALL,
    ORT_BASIC,
    ORT_EXTENDED,
    ORT_FUSIONS,
    ORT_OWN_FUSIONS,
    REORDERED,
    SCRAMBLED,
)
from agreement.lossy import (
    BFLOAT16_AND_BACK,
    DYNAMIC,
    FOUR_BITS,
    HALF_AND_BACK,
    HALF_COMMON,
    HALF_PRECISION,
    PREPARED,
    QDQ,
    QOPERATOR,
)
from agreement.steps import Step

FULL_PRECISION, FP16, QUANTISED, FOREIGN = "kept numbers", "fp16", "quantised", "foreign"
KINDS = (FULL_PRECISION, FP16, QUANTISED, FOREIGN)


@dataclass(frozen=True)
class Start:
    """An export to start from.

    Attributes:
        variant: Of the model: `own`, the same at `large` width, or a sibling; `neighbour` is
            another model.
        exporter: The one that `trace` takes by itself, or the other one.
        dynamic: All axes dynamic.
        reshaped: Traced with inputs of other shapes.
        built: In which precision another builder writes the file; "" for an export.
    """

    variant: str = "own"
    exporter: str = "first"
    dynamic: bool = False
    reshaped: bool = False
    built: str = ""

    @property
    def foreign(self) -> bool:
        """Whether the record is of another model."""
        return self.variant not in {"own", "large"}


_BUILT_LOSS = {"fp16": FP16, "int4": QUANTISED}

PLAIN = Start()
LARGE = Start("large")
OTHER = Start(exporter="other")


@dataclass(frozen=True)
class Transformation:
    """One row: a file and the record to annotate it with.

    Attributes:
        name: In the table.
        start: Where the file comes from.
        steps: What was done to it.
        record: The trace whose record is used.
    """

    name: str
    start: Start = PLAIN
    steps: tuple[Step, ...] = ()
    record: Start = PLAIN

    @property
    def kind(self) -> str:
        """What becomes of the numbers."""
        if self.start.foreign:
            return FOREIGN
        losses = {step.loss for step in self.steps} | {_BUILT_LOSS.get(self.start.built)}
        return QUANTISED if QUANTISED in losses else FP16 if FP16 in losses else FULL_PRECISION

    @property
    def scrambled(self) -> bool:
        """Whether names say nothing."""
        return SCRAMBLED in self.steps


def _both(
    name: str, *steps: Step, start: Start = PLAIN, record: Start = PLAIN
) -> list[Transformation]:
    """A row, and the same with all names scrambled."""
    return [
        Transformation(name, start, steps, record),
        Transformation(f"{name}, scrambled", start, (*steps, SCRAMBLED), record),
    ]


def _single(step: Step) -> list[Transformation]:
    return _both(step.name, step)


_SINGLE = (
    *(OPSET_UP, OPSET_DOWN, ORT_BASIC, ORT_EXTENDED, ORT_ALL, ORT_FUSIONS, ORT_OWN_FUSIONS),
    *(ONNXSLIM, ONNXSIM, GRAPHSURGEON, INLINED, EXPANDED, CUT_HEAD, CUT_MIDDLE),
    *(HALF_PRECISION, HALF_COMMON, HALF_AND_BACK, BFLOAT16_AND_BACK, DYNAMIC),
)
_ROWS: list[Transformation] = [
    *_both("plain"),
    Transformation("reordered, scrambled", steps=(REORDERED, SCRAMBLED)),
    *_both("other exporter", start=OTHER),
    *_both("other exporter's record", record=OTHER),
    *_both("other shapes", start=Start(reshaped=True)),
    *_both("dynamic axes", start=Start(dynamic=True)),
    *(row for step in _SINGLE for row in _single(step)),
    *_both(QDQ.name, PREPARED, QDQ),
    *_both(QOPERATOR.name, PREPARED, QOPERATOR),
    *_both(FOUR_BITS.name, FOUR_BITS),
    *_both("other exporter > onnxruntime extended", ORT_EXTENDED, start=OTHER),
    *_both("onnxslim > fp16", ONNXSLIM, HALF_PRECISION),
    *_both("onnxruntime.transformers > fp16", ORT_FUSIONS, HALF_PRECISION),
    *_both("onnxruntime basic > int8 dynamic", ORT_BASIC, DYNAMIC),
    *_both("other exporter > int8 QDQ", PREPARED, QDQ, start=OTHER),
    *(
        row
        for precision in PROVIDERS
        for row in _both(
            f"onnxruntime-genai {precision}", start=Start("large", built=precision), record=LARGE
        )
    ),
    *_both("another model", start=Start("neighbour")),
    *_both("another width", start=Start("wider")),
    *_both("another depth", start=Start("deeper")),
    *_both("fine-tuned", start=Start("tuned")),
    *_both("fine-tuned > onnxruntime extended", ORT_EXTENDED, start=Start("tuned")),
]

TRANSFORMATIONS = {row.name: row for row in _ROWS}
"""Every row by name."""
