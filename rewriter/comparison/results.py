"""What a comparison says."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """What became of a module from the first file to the second."""

    SAME = "same"
    CHANGED = "changed"
    ABSORBED = "absorbed"
    """It has no nodes left; nodes of a module around it do its work."""
    EMPTIED = "emptied"
    """It has no nodes left, and none does its work."""
    ONLY_A = "only in A"
    ONLY_B = "only in B"


class ModuleChange(msgspec.Struct):
    """One module in two files; its own nodes, not those of modules inside it.

    At the depth to which modules are shown it stands for those inside it, too.

    Attributes:
        tag: As the first file has it, or the second where that has no such module.
        class_name: Its class, "" when neither file says.
        status: What became of it.
        nodes_a, nodes_b: Nodes that carry this tag: the distributions of tags.
        gained, lost: Operators of which the second file has more, or fewer, and how many.
        covered_a, covered_b: Operators on nodes of other modules that do some of its work: fused
            ones, that cover it.
        parameters_a, parameters_b: Elements of its own parameters, as the module tree has them.
        bytes_a, bytes_b: What its own weights take in each file.
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


class FileFacts(msgspec.Struct):
    """One of the files as a whole.

    Attributes:
        file: Base name.
        source: Where its hierarchy comes from.
        nodes, tagged: Counts.
        op_types: Of all nodes, the most frequent first.
        untagged: Of the nodes without a tag.
        parameters: Elements of the parameters in its module tree.
        bytes: What its weights take.
    """

    file: str
    source: str
    nodes: int
    tagged: int
    op_types: dict[str, int]
    untagged: dict[str, int]
    parameters: int
    bytes: int


class Deviation(msgspec.Struct):
    """One value that leaves a module, in both files on the same inputs.

    The first file's numbers are the truth: errors are the second's against them.

    Attributes:
        tag: The module that it leaves.
        a, b: What it is called in each file.
        a_op, b_op: The operators that give it.
        shape: In the first file.
        paired_by: `output`, `name`, `shape` or `nearest`: how it was found in the second.
        max_abs, mean_abs: Greatest and mean distance of elements.
        relative: Norm of the difference over the norm of the value; None when that is zero.
        cosine: Of the angle between both; None when one of them is zero.
        snr_db: Signal to noise in decibels; None when there is no noise, or nothing but.
        unlike: Elements that are infinite or no number in just one of them.
        diverges: Whether `relative` is above the tolerance.
        begins: Whether it diverges and nothing that it is computed from does.
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


class Unaligned(msgspec.Struct):
    """A value that leaves a module in one file and was not compared.

    Attributes:
        tag: The module.
        file: `a` or `b`.
        value: Its name.
        op: The operator that gives it.
        reason: Why.
    """

    tag: str
    file: str
    value: str
    op: str
    reason: str


class NumericComparison(msgspec.Struct):
    """What both files compute.

    Attributes:
        inputs: Where the inputs come from.
        tolerance: Relative distance from which on a value diverges.
        values: What was compared, in the order in which the first file computes it; only what
            leaves a module that is shown.
        first: Tag of the module in which they diverge first, if they do.
        unaligned: What was not compared.
        same: Whether nothing diverges, in the modules that are shown or inside them.
    """

    inputs: str
    tolerance: float
    values: list[Deviation]
    first: str | None
    unaligned: list[Unaligned]
    same: bool


class Comparison(msgspec.Struct):
    """Two files side by side.

    Attributes:
        a, b: The files.
        same: Whether no difference was found.
        gained, lost: Operators of which the second has more, or fewer, over all modules.
        modules: Every module of which either file has something, those of the first in its order.
        numeric: What they compute, when this was asked for.
        notes: What the user should know beyond that.
        module: Tag of the module that was compared with what is below it; None for everything.
            All but `a` and `b` is of it alone.
        depth: How many steps below that modules are shown, where it was said.
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
        """The modules that are not the same in both."""
        return (row for row in self.modules if row.status is not Status.SAME)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from modelexport.rewriter.comparison.html import comparison_html  # noqa: PLC0415 - only notebooks ask

        return comparison_html(self)
