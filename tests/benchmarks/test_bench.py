"""The table beside other tools: what it says of figures, and where it stands on its page."""

from pathlib import Path

import pytest

from bench import BEGIN, END, HEAD, MEGABYTES, SECONDS, TITLES, lines_of, verdict, write_page
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


def test_rows_replace_those_of_the_same_task(tmp_path: Path) -> None:
    """Tasks that were not measured keep their rows, and the page around the table stays."""
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    one, two = TITLES[:2]
    write_page(page, {two: ([f"| {two} | second |"], [f"{two}: slow"])})
    write_page(page, {one: ([f"| {one} | first |"], [])})
    write_page(page, {two: ([f"| {two} | third |"], [f"{two}: slower"])})
    expected = [*HEAD, f"| {one} | first |", f"| {two} | third |", "", *verdict([f"{two}: slower"])]
    text = "\n".join(expected)
    assert page.read_text() == f"above\n{BEGIN}\n\n{text}\n\n{END}\nbelow\n"


def test_other_sizes_of_ours_are_no_tools_that_take_less() -> None:
    """The same command on a smaller model is there to be seen beside, and is not ahead."""
    rows = {OURS: figures(2), f"{OURS}, 2 layers": figures(1)}
    _, behind = lines_of(FREE, "a task", rows)
    assert not behind
