"""Edits of a file by module, through `open_graph`, which no command calls."""

import sys
from collections import Counter

from modelexport import open_graph
from modelexport.errors import ModelExportError
from modelexport.support.visible_text import visible_line

EDIT = "open_graph"
"""What stands in the place of a command's name for an edit."""


def edit_graph(file: str, module: str, target: str, record: str | None = None) -> int:
    """Replace a module by one node, or give a node another module, and write the file.

    Args:
        file: The file.
        module: The module; `-` to replace none.
        target: The file to write.
        record: The record of a file that is not annotated.

    Returns:
        0, or 2 for an error of ours, whose sentence goes to standard error.
    """
    try:
        with open_graph(file, record=record) as opened:
            for path in opened.modules:
                opened.inputs(path), opened.outputs(path)
            places = Counter(opened.module_of(node) for node in opened.nodes(""))
            if module == "-":
                opened.place(opened.graph.nodes[0], opened.modules[-1])
            else:
                opened.place(opened.replace(module, "Fused", domain="own"), module)
            opened.save(target)
    except ModelExportError as error:
        sys.stderr.write(f"modelexport: {visible_line(str(error))}\n")
        return 2
    print(visible_line(f"{places}"))
    return 0
