"""Names that are unique among many."""

from collections.abc import Iterable


class UniqueNames:
    """Gives out names, each only once.

    Args:
        taken: Names that are in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._requests: dict[str, int] = {}  # keeps thousands of requests for the same name fast

    def take(self, name: str) -> str:
        """Return the name, with a number appended if it is in use (`name_1`); mark it as used."""
        number = self._requests.get(name, 0)
        candidate = f"{name}_{number}" if number else name
        while candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        self._requests[name] = number + 1
        self._taken.add(candidate)
        return candidate
