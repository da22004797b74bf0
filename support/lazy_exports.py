"""Packages that import the modules of their public names only when a name is first used.

This keeps the command line fast: numpy, onnx and onnxruntime are imported only by the commands
that need them.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def lazy_exports(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package that imports its public names lazily.

    Args:
        package: Name of the package.
        modules: The public names by the module that defines them, relative to the package.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next use does not come here
        return value

    return get
