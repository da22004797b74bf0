"""What folding did."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec


class Prototype(msgspec.Struct):
    """One function that folding made.

    Attributes:
        domain, name: Domain and name of the function.
        class_name: Class of the modules.
        calls: How many nodes called it when it was made. Some may be inside functions now.
        nodes: How many nodes it has; a call of another function counts as one.
        example: Path of the first module.
        differs: What distinguishes it from the first function of its class.
    """

    domain: str
    name: str
    class_name: str
    calls: int
    nodes: int
    example: str
    differs: str | None = None


class FoldReport(msgspec.Struct):
    """What folding did.

    Attributes:
        prototypes: The functions.
        nodes_before, nodes_after: Number of nodes in the main graph.
        hoisted: How many nodes were moved out of a module because its siblings use them too.
        single: Calls that have the class of a function but not its structure, and what differs.
        refused: Calls that could not be folded, and why.
        left_out: Classes with more structures than allowed, and how many calls stayed unfolded.
    """

    prototypes: list[Prototype]
    nodes_before: int
    nodes_after: int
    hoisted: int = 0
    single: dict[str, str] = {}
    refused: dict[str, str] = {}
    left_out: dict[str, int] = {}

    def lines(self) -> list[str]:
        """The report in sentences."""
        calls = sum(prototype.calls for prototype in self.prototypes)
        functions, before, after = len(self.prototypes), self.nodes_before, self.nodes_after
        return [
            f"{calls} calls of {functions} functions: {after} nodes instead of {before}",
            *self._lines_on_classes(),
            *(f"{path} is not shared: {difference}" for path, difference in self.single.items()),
            *(f"{path} is not folded: {reason}" for path, reason in self.refused.items()),
            *(
                f"{count} calls of {name} are not folded: the class has too many structures"
                for name, count in self.left_out.items()
            ),
        ]

    def _lines_on_classes(self) -> Iterator[str]:
        """One line for each class of which several functions were made."""
        by_class: dict[str, list[Prototype]] = defaultdict(list)
        for prototype in self.prototypes:
            by_class[prototype.class_name].append(prototype)
        for name, prototypes in by_class.items():
            differing = [f"{p.name}: {p.differs}" for p in prototypes if p.differs]
            if differing:
                yield f"{len(prototypes)} prototypes of {name}: {'; '.join(differing)}"
