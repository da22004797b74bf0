"""The results of comparing a run in torch with an ONNX file."""

from collections.abc import Iterator

import msgspec

from modelexport.rewriter.comparison.quantisation.results import ModuleError, Suggestion
from modelexport.rewriter.comparison.value_status import ValueStatus
from modelexport.rewriter.comparison.weights.results import ChangedWeight


class ModuleComparison(msgspec.Struct, frozen=True):
    """One call of a module: what it returned in torch, and what the file holds there.

    Of a module that returns several tensors, the worst one is told.

    Attributes:
        tag: The module's tag.
        path: Its path.
        class_name: Its class.
        call: Which call of it, from 0.
        status: What the file holds.
        begins: Whether its outputs diverge, its inputs do not, and no module inside it is so.
        shape: The shape of what it returned.
        value: The value in the file that is this one, or is compared with it; None without one.
        op_type: The operator that computes this value.
        computed_in: Tag of the module of that operator; None when it is in none.
        layout: With `permuted`: order of the axes in the file (`0,2,1`); None for another order.
        max_abs: Greatest absolute difference of elements; None when nothing was compared.
        relative: Norm of the difference over the norm of what the module returned.
        cosine: Cosine of the angle between both (-1 to 1).
        snr_db: Signal to noise ratio in decibels; None when there is no noise, or no signal.
        reason: Why the file has no such value; None when it has one.
        source_lines: Lines of Python (`file:line`) behind the node that computes the value.
    """

    tag: str
    path: str
    class_name: str
    call: int
    status: ValueStatus
    begins: bool
    shape: tuple[int, ...]
    value: str | None = None
    op_type: str | None = None
    computed_in: str | None = None
    layout: str | None = None
    max_abs: float | None = None
    relative: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    reason: str | None = None
    source_lines: tuple[str, ...] = ()


class ModelComparison(msgspec.Struct, frozen=True):
    """A model as it runs in torch against an ONNX file.

    Attributes:
        source: The model.
        file: The file's name.
        inputs: Where the inputs come from.
        tolerance: Relative distance (0 or more) above which a value diverges.
        same: Whether nothing diverges.
        first: Tag of the module in which divergence begins; None when nothing diverges.
        suspects: Tags of modules of which the file has no value between the last one that agrees
            and `first`: it may be one of these.
        counts: Number of calls of each status.
        modules: The calls of modules that return tensors, in the order in which they return.
        local: For a file of fewer bits: the error that each module adds by itself, the largest
            first.
        suggestion: Which modules to leave out of quantisation; None when that was not asked for.
        notes: What the user should know beyond that.
        weights: Where something diverges: the weights of the file that are not those of the model,
            rounded, the most changed first.
        cause: Tag of the module to look at first: one whose weights were changed, else for a file
            of fewer bits the one with the largest error by itself, else `first`.
    """

    source: str
    file: str
    inputs: str
    tolerance: float
    same: bool
    first: str | None
    suspects: list[str]
    counts: dict[str, int]
    modules: list[ModuleComparison]
    local: list[ModuleError] = []
    suggestion: Suggestion | None = None
    notes: list[str] = []
    weights: list[ChangedWeight] = []
    cause: str | None = None

    def differences(self) -> Iterator[ModuleComparison]:
        """The calls whose outputs diverge."""
        return (row for row in self.modules if row.status is ValueStatus.DIVERGES)
