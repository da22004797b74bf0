"""Source lines as text."""

import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.source_lines import encode_lines, node_lines, split_line


@pytest.mark.parametrize("lines", [(), ("net.py:1",), ("a b/c:d.py:3", "ä.py:12")])
def test_lines_survive_writing_and_reading(lines: tuple[str, ...]) -> None:
    assert node_lines({keys.SOURCE: encode_lines(lines)}) == lines


@pytest.mark.parametrize("text", ["", "net.py:1", '{"a": 1}', "[1]", "[null]"])
def test_an_entry_that_is_no_list_of_lines_gives_none(text: str) -> None:
    assert node_lines({keys.SOURCE: text}) == ()


@pytest.mark.parametrize("text", ["", "net.py", "net.py:", ":3", "net.py:x", "net.py:-3"])
def test_a_text_that_is_no_line_is_not_split(text: str) -> None:
    assert split_line(text) is None


def test_the_number_is_behind_the_last_colon() -> None:
    assert split_line("c:/net.py:7") == ("c:/net.py", 7)
