"""Text that is safe to print: characters that a terminal would obey or hide become escapes.

Names in files may hold any character. Control characters move the cursor, recolour or retitle a
terminal; marks of direction reorder what is read; characters without width hide differences.
"""

import html
import re
import unicodedata

_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control and format characters, lone surrogates, and separators of lines
and paragraphs. Format characters are the marks of direction and what has no width."""

_MARKUP = re.compile(r"\\(?=[!-/:-@\[-`{-~])|[`*~\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""What begins markup in markdown. An underscore inside a word does not, nor does a backslash before
a letter."""


def visible_line(text: str) -> str:
    r"""The text on one line, with escapes such as `\x1b` for what a terminal would not show.

    >>> visible_line("\x1b[31mred\n"), visible_line("日本 ünï 🙂")
    ('\\x1b[31mred\\x0a', '日本 ünï 🙂')
    """
    if text.isprintable():
        return text
    return "".join(_python_escape(char) if _is_escaped(char) else char for char in text)


def visible_lines(text: str) -> str:
    """The same, with its line feeds."""
    return text if text.isprintable() else "\n".join(map(visible_line, text.split("\n")))


def markdown_text(text: str) -> str:
    r"""A text for a line of a markdown document, which shows it as it is.

    It is no HTML there, and makes no links, images or emphasis.

    >>> markdown_text("a <b>"), markdown_text("[*x*](y) my_name_ https://z")
    ('a &lt;b&gt;', '\\[\\*x\\*\\](y) my_name\\_ https&#58;//z')
    """
    escaped = _MARKUP.sub(r"\\\g<0>", html.escape(visible_line(text), quote=False))
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;")


def markdown_cell(text: str) -> str:
    r"""The same for a cell of a table.

    >>> markdown_cell("a | b")
    'a \\| b'
    """
    return markdown_text(text).replace("|", "\\|")


def visible_json(text: str) -> str:
    r"""JSON of the same value, with JSON's own escapes; the line feeds between values stay.

    >>> visible_json('"\x7f"')
    '"\\u007f"'
    """
    if text.isprintable():
        return text
    escaped = (_json_escape(c) if c != "\n" and _is_escaped(c) else c for c in text)
    return "".join(escaped)


def _is_escaped(char: str) -> bool:
    return unicodedata.category(char) in _ESCAPED_CATEGORIES


def _python_escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs)
