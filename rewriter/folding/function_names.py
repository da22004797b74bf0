"""Names, operator sets and classes of the functions that folding makes."""

import re
from collections.abc import Iterable

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.hierarchy.misread_names import is_misread
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.rewriter.folding.choose_calls import ClassName

UNKNOWN_DOMAIN = "modules"
"""Domain of functions whose Python module is unknown."""


def class_of_module(tree: ModuleTree, path: str) -> ClassName:
    """Python module and name of a module's class; the last word of its path if unknown."""
    if path in tree and (module := tree[path]).class_name:
        return module.python_module or UNKNOWN_DOMAIN, module.class_name
    words = [word for word in path.split(".") if not word.isdigit()]
    return UNKNOWN_DOMAIN, words[-1] if words else "Module"


def qualified_name(class_name: ClassName) -> str:
    """The class's name with its Python module, if that is known."""
    return ".".join(class_name).removeprefix(f"{UNKNOWN_DOMAIN}.")


class FunctionNames:
    """Gives each function a name of its own.

    Args:
        model: The model, with the functions that it has already.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._taken = {(function.domain, function.name) for function in model.functions}

    def take(self, class_name: ClassName, variant: int, inputs: int) -> tuple[str, str]:
        """Domain and name for a function.

        A class may have the name of an operator. Where onnxruntime would take the function for
        that operator, it gets a number as if the name was taken.

        Args:
            class_name: The class of its modules: the domain is the Python module.
            variant: Number of the structure among those of the class, from 1. It is appended
                to the name from 2 on.
            inputs: Number of inputs of the function.
        """
        domain, base = class_name[0] or UNKNOWN_DOMAIN, re.sub(r"\W", "_", class_name[1])
        name = base if variant == 1 else f"{base}_{variant}"
        while (domain, name) in self._taken or is_misread(domain, name, inputs):
            variant += 1
            name = f"{base}_{variant}"
        self._taken.add((domain, name))
        return domain, name


def import_operator_sets(model: onnx.ModelProto, function: onnx.FunctionProto) -> None:
    """Give a function the operator sets that its nodes need, and the model the function's own."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if function.domain not in versions:
        model.opset_import.add(domain=function.domain, version=1)
    for domain in sorted({"", *_domains(function.node)}):
        version = versions.get(domain)
        if version is None and domain in DEFAULT_DOMAINS:
            version = versions.get("" if domain else "ai.onnx")  # the other spelling
        if version is not None or domain:
            function.opset_import.add(domain=domain, version=version or 1)


def _domains(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Domains of nodes and of the nodes in their subgraphs."""
    domains: set[str] = set()
    for node in nodes:
        domains.add(node.domain)
        for _, subgraph in subgraphs(node) if node.attribute else ():
            domains |= _domains(subgraph.node)
    return domains
