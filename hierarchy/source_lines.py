"""Lines of Python as `file:line`: those of a record's ops, and those of an annotated file's nodes.

A file is named relative to the folder that Python imports it from, never by an absolute path.
"""

from collections.abc import Iterable, Mapping

import msgspec

from modelexport.hierarchy import keys
from modelexport.hierarchy.record import Op
from modelexport.support.decode_errors import DECODE_ERRORS
from modelexport.support.numerals import is_numeral


def lines_of_ops(ops: Iterable[Op]) -> tuple[str, ...]:
    """The source lines of some recorded ops, each once, in the order of the ops."""
    lines = (line for op in ops for line in (op.source, *op.other_sources) if line is not None)
    return tuple(dict.fromkeys(lines))


def encode_lines(lines: Iterable[str]) -> str:
    """The lines as the value of the metadata entry `hierarchy.source`: a JSON list.

    >>> encode_lines(("net.py:12", "net.py:13"))
    '["net.py:12","net.py:13"]'
    """
    return msgspec.json.encode(list(lines)).decode()


def node_lines(entries: Mapping[str, str]) -> tuple[str, ...]:
    """The source lines of a node of an annotated file; empty when it has none.

    Args:
        entries: The metadata entries of the node.

    >>> node_lines({"hierarchy.source": '["net.py:12"]'})
    ('net.py:12',)
    >>> node_lines({})
    ()
    """
    try:
        return tuple(msgspec.json.decode(entries.get(keys.SOURCE, "[]"), type=list[str]))
    except DECODE_ERRORS:
        return ()  # the node's tag is still good; `validate` reports a broken list


def split_line(line: str) -> tuple[str, int] | None:
    """The file and the line number of a source line; None when the text has another form.

    >>> split_line("models/net.py:12")
    ('models/net.py', 12)
    """
    file, colon, number = line.rpartition(":")
    return (file, int(number)) if colon and file and is_numeral(number) else None
