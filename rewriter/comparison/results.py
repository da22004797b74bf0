"""The results of a comparison."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from modelexport.rewriter.comparison.quantisation.results import ModuleError, Suggestion
from modelexport.rewriter.comparison.value_status import ValueStatus
from modelexport.rewriter.comparison.weights.results import ChangedWeight


class Status(StrEnum):
    """What became of a module from the first file to the second."""

    SAME = "same"
    CHANGED = "changed"
    ABSORBED = "absorbed"
    """It has no nodes left; nodes of a module around it do its work."""
    EMPTIED = "emptied"
    """It has no nodes left, and no other nodes do its work."""
    ONLY_A = "only in A"
    ONLY_B = "only in B"


class ModuleChange(msgspec.Struct, frozen=True):
    """One module in two files; its own nodes, not those of modules inside it.

    At the depth to which modules are shown, it stands for the modules inside it, too.

    Attributes:
        tag: Its tag in the first file, or in the second where the first has no such module.
        class_name: Its class; "" when neither file says.
        status: What became of it.
        nodes_a, nodes_b: Number of nodes with this tag in each file.
        gained, lost: Operators of which the second file has more, or fewer, and how many.
        covered_a, covered_b: Operators of other modules' nodes that do some of its work (fused
            nodes that cover it), and how many.
        parameters_a, parameters_b: Elements of its own parameters, as the module trees say.
        bytes_a, bytes_b: Bytes of its own weights in each file.
        source_lines: Lines of Python (`file:line`) behind its own nodes, as the first file has
            them; else as the second has them.
    """

    tag: str
    class_name: str
    status: Status
    nodes_a: int
    nodes_b: int
    gained: dict[str, int]
    lost: dict[str, int]
    covered_a: dict[str, int]
    covered_b: dict[str, int]
    parameters_a: int
    parameters_b: int
    bytes_a: int
    bytes_b: int
    source_lines: tuple[str, ...] = ()


class FileFacts(msgspec.Struct, frozen=True):
    """One of the files as a whole.

    Attributes:
        file: Base name.
        source: Where its hierarchy comes from.
        nodes, tagged: Number of nodes, and of nodes with a tag.
        op_types: Number of nodes of each operator, the most frequent first.
        untagged: The same of the nodes without a tag.
        parameters: Elements of the parameters in its module tree.
        bytes: Bytes of its weights.
    """

    file: str
    source: str
    nodes: int
    tagged: int
    op_types: dict[str, int]
    untagged: dict[str, int]
    parameters: int
    bytes: int


class Deviation(msgspec.Struct, frozen=True):
    """One value that leaves a module, in both files on the same inputs.

    The first file's numbers are the truth: errors are those of the second file.

    Attributes:
        tag: The module that it leaves.
        a, b: Its name in each file.
        a_op, b_op: The operators that compute it.
        shape: Its shape in the first file.
        paired_by: How it was found in the second file: `output`, `name`, `shape` or `nearest`.
        max_abs, mean_abs: Greatest and mean absolute difference of elements.
        relative: Norm of the difference over the norm of the value; None when that is zero.
        cosine: Cosine of the angle between both (-1 to 1); None when one of them is zero.
        snr_db: Signal to noise ratio in decibels; None when there is no noise, or no signal.
        unlike: Number of elements that are infinite or no number in just one of the files.
        diverges: Whether `relative` is above the tolerance.
        begins: Whether it diverges and no value that it is computed from does.
        source_lines: Lines of Python (`file:line`) behind the node that computes it, as the first
            file has them; else as the second has them.
    """

    tag: str
    a: str
    b: str
    a_op: str
    b_op: str
    shape: tuple[int, ...]
    paired_by: str
    max_abs: float
    mean_abs: float
    relative: float | None
    cosine: float | None
    snr_db: float | None
    unlike: int
    diverges: bool
    begins: bool = False
    status: ValueStatus = ValueStatus.EQUAL
    layout: str | None = None
    source_lines: tuple[str, ...] = ()


class Unaligned(msgspec.Struct, frozen=True):
    """A value that leaves a module in one file and was not compared.

    Attributes:
        tag: The module.
        file: `a` or `b`.
        value: Its name.
        op: The operator that computes it.
        reason: Why it was not compared.
    """

    tag: str
    file: str
    value: str
    op: str
    reason: str


class NumericComparison(msgspec.Struct, frozen=True):
    """What both files compute.

    Attributes:
        inputs: Where the inputs come from.
        tolerance: Relative distance (0 or more) above which a value diverges.
        values: The compared values that leave a module that is shown, in the order in which the
            first file computes them.
        first: Tag of the module in which the files diverge first; None when they do not.
        unaligned: The values that were not compared.
        same: Whether nothing diverges in the modules that are shown or inside them.
        local: For a second file of fewer bits: the error that each module adds by itself, the
            largest first.
        suggestion: Which modules to leave out of quantisation; None when that was not asked for.
        weights: Where something diverges: the weights that are not those of the first file,
            rounded, the most changed first.
        cause: Tag of the module to look at first: one whose weights were changed, else for a
            second file of fewer bits the one with the largest error by itself, else `first`.
    """

    inputs: str
    tolerance: float
    values: list[Deviation]
    first: str | None
    unaligned: list[Unaligned]
    same: bool
    local: list[ModuleError] = []
    suggestion: Suggestion | None = None
    weights: list[ChangedWeight] = []
    cause: str | None = None


class Comparison(msgspec.Struct, frozen=True):
    """Two files side by side.

    Attributes:
        a, b: The files.
        same: Whether no difference was found.
        gained, lost: Operators of which the second file has more, or fewer, over all modules.
        modules: Every module of which a file has something, in the order of the first file.
        numeric: What the files compute; None when they were not run side by side.
        notes: What the user should know beyond that.
        module: Tag of the module that was compared with everything below it; None for all
            modules. Everything here but `a` and `b` is about it alone.
        depth: How many steps below that modules are shown; None for all.
    """

    a: FileFacts
    b: FileFacts
    same: bool
    gained: dict[str, int]
    lost: dict[str, int]
    modules: list[ModuleChange]
    numeric: NumericComparison | None
    notes: list[str]
    module: str | None = None
    depth: int | None = None

    def changes(self) -> Iterator[ModuleChange]:
        """The modules that are not the same in both files."""
        return (row for row in self.modules if row.status is not Status.SAME)

    def _repr_html_(self) -> str:
        """The comparison as a notebook shows it."""
        from modelexport.rewriter.comparison.html import comparison_html  # noqa: PLC0415 - only notebooks ask

        return comparison_html(self)
