"""Calls of functions that the file no longer has: a tool dropped them and kept their calls."""

from collections import Counter

from modelexport.rewriter.validation.checked_file import CheckedFile
from modelexport.rewriter.validation.results import Findings


def check_functions(file: CheckedFile) -> Findings:
    """Check that no function of a module is missing.

    Functions that folding makes are of the domain of their class, its Python module. onnx's version
    converter drops all functions of a file.
    """
    if file.tree is None:
        return Findings()
    domains = {module.python_module for module in file.tree} - {""}
    functions = {(function.domain, function.name) for function in file.file.model.functions}
    lost = Counter(
        f"{node.domain}::{node.op_type}"
        for node in file.graph.nodes
        if node.domain in domains and (node.domain, node.op_type) not in functions
    )
    if not lost:
        return Findings()
    names = ", ".join(f"{name} ({count} x)" for name, count in sorted(lost.items()))
    fault = file.fault(
        "functions",
        f"it calls functions that it does not have: {names}; a tool has dropped them, as onnx's "
        "version converter does",
        "use that tool on the file without functions, then annotate what it writes with --record "
        "and --inject functions",
    )
    return Findings(("functions",), (fault,))
