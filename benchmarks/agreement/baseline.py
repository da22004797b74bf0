"""Comparing the cells of a run with those of an earlier one."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agreement.cells import Cell, verdicts_of


def report_changes(cells: Iterable[Cell], baseline: Path) -> int:
    """Print the cells whose verdicts are not those of an earlier run.

    Args:
        cells: The cells of this run.
        baseline: The file of the cells of the earlier run; it may lack some, or have others.

    Returns:
        The exit code of the benchmark: 1 where a verdict changed, else 0.
    """
    before = msgspec.json.decode(baseline.read_bytes(), type=list[Cell])
    verdicts = {(cell.model, cell.transform): verdicts_of(cell) for cell in before}
    compared = [cell for cell in cells if (cell.model, cell.transform) in verdicts]
    changed = [c for c in compared if verdicts_of(c) != verdicts[c.model, c.transform]]
    for cell in changed:
        print(f"{cell.model}, {cell.transform}:")
        print(f"  before {verdicts[cell.model, cell.transform]}")
        print(f"  now    {verdicts_of(cell)}")
    print(f"{len(changed)} of {len(compared)} cells have other verdicts than {baseline}")
    return 1 if changed else 0
