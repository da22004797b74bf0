"""The page of a report: one file with its markup, style, script and data."""

import base64
import hashlib
from importlib import resources

import msgspec

from modelexport.rewriter.reporting.report_data import ReportFile


def report_page(files: list[ReportFile]) -> bytes:
    """The whole page.

    The page fetches nothing: its content security policy allows the one script and the one style in
    it, by their hashes. The data cannot end the element that holds it, since `<` is escaped.

    Args:
        files: One file, or two to show side by side.
    """
    style, script = _part("report.css"), _part("report.js")
    data = msgspec.json.encode(files).decode().replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _part("report.html")
    parts = {"POLICY": policy, "STYLE": style, "DATA": data, "SCRIPT": script}
    pieces = []
    for name, text in parts.items():  # in order: inserted texts are not searched
        head, _, page = page.partition(f"@{name}@")
        pieces += [head, text]
    return "".join([*pieces, page]).encode()


def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text("utf-8")


def _digest(text: str) -> str:
    """The hash by which a content security policy allows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
