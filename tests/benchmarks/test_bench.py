"""The table beside other tools: what it says of figures, and where it stands on its page."""

from pathlib import Path

import pytest

from bench import BEGIN, END, MEGABYTES, SECONDS, lines_of, write_page
from bench_tasks import TASKS
from peers import OURS

LIMITED = next(name for name, task in TASKS.items() if task.has_limits)
FREE = next(name for name, task in TASKS.items() if not task.has_limits)


def figures(*seconds: float, memory: float = 1.0) -> dict[str, list[float]]:
    return {"seconds": [*seconds], "memory": [memory] * len(seconds)}


def test_a_tool_that_takes_less_is_named() -> None:
    """Ratios are medians over the rounds, and one below 1 is said."""
    rows = {OURS: figures(1, 2, 4), "fast": figures(0.5, 1, 8), "slow": figures(3, 6, 12)}
    lines, behind = lines_of(FREE, "a task", rows)
    assert [line.split(" | ")[3] for line in lines] == ["1.00", "0.50", "3.00"]
    (line,) = behind
    assert "fast" in line


def test_a_tool_that_fails_has_its_reason() -> None:
    lines, behind = lines_of(FREE, "a task", {OURS: figures(1), "other": "no such operator"})
    assert "failed" in lines[1]
    assert "no such operator" in lines[1]
    assert not behind


@pytest.mark.parametrize(
    ("seconds", "memory", "is_over"),
    [(SECONDS, MEGABYTES, False), (2 * SECONDS, 1, True), (0.1, 2 * MEGABYTES, True)],
)
def test_limits_are_checked(seconds: float, memory: float, is_over: bool) -> None:
    rows = {OURS: figures(seconds, memory=memory)}
    _, behind = lines_of(LIMITED, "a large file", rows)
    assert bool(behind) == is_over


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    """Writing twice leaves one table, and the rest of the page as it is."""
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write_page(page, "first")
    write_page(page, "second")
    assert page.read_text() == f"above\n{BEGIN}\n\nsecond\n\n{END}\nbelow\n"
