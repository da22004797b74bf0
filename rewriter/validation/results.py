"""The results of checking a file."""

import msgspec


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something wrong with a file.

    Attributes:
        check: The check that found it.
        message: What is wrong, in a sentence.
        advice: What to do about it.
        node: Name or address of the node, when it is about one.
        module: Path or tag of the module, when it is about one.
    """

    check: str
    message: str
    advice: str
    node: str | None = None
    module: str | None = None


class Validation(msgspec.Struct, frozen=True):
    """The outcome of the checks on one file.

    Attributes:
        file: Base name.
        checks: The checks that were made.
        faults: What the checks found; empty when the file is good.
        nodes, tagged: Number of nodes, and of nodes with a tag.
        notes: What was not checked, and why.
        remarks: What was found and is no fault.
    """

    file: str
    checks: list[str]
    faults: list[Fault]
    nodes: int
    tagged: int
    notes: list[str]
    remarks: list[str] = []

    @property
    def good(self) -> bool:
        """Whether no check found a fault."""
        return not self.faults


class Findings(msgspec.Struct, frozen=True):
    """What one check found, or several checks in their order.

    Attributes:
        checks, faults, notes, remarks: As of `Validation`.
    """

    checks: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            self.checks + other.checks,
            self.faults + other.faults,
            self.notes + other.notes,
            self.remarks + other.remarks,
        )
