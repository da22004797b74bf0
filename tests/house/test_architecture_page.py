"""The architecture page names files and definitions that exist."""

import ast
import re

from tests.helpers.commands import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
TABLE = PAGE.partition("## To change X, go to Y")[2].partition("\n## ")[0]
ROOMS = "hierarchy|support|tracer|rewriter|pipeline|cli|modelexport|tests"


def test_every_path_on_the_page_exists() -> None:
    """A path in backticks is a file or a folder; inside the matcher's story, of the rewriter."""
    paths = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", PAGE)
    assert len(paths) > 30
    bases = (ROOT, ROOT / "rewriter", ROOT / "tracer", ROOT / "rewriter" / "analysis")
    bases += (ROOT / "rewriter" / "matching",)
    missing = [path for path in paths if not any((base / path).exists() for base in bases)]
    assert missing == []


def test_every_definition_beside_a_path_is_in_that_file() -> None:
    """`FILE`: `name` and `FILE` (`name`) name functions or classes of the file."""
    pattern = rf"`((?:{ROOMS})/[a-z_/]+\.py)`(?:: | \()((?:`\w+`(?:, )?)+)"
    places = re.findall(pattern, TABLE)
    assert len(places) >= 2
    for path, names in places:
        module = ast.parse((ROOT / path).read_text())
        kinds = (ast.FunctionDef, ast.ClassDef)
        defined = {node.name for node in ast.walk(module) if isinstance(node, kinds)}
        assert set(re.findall(r"`(\w+)`", names)) <= defined, path
