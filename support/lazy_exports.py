"""Packages whose public names load their modules only when somebody asks for them.

The command line starts in a fraction of a second because of this: numpy, onnx and onnxruntime
are imported by the command that needs them.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def lazy_exports(package: str, homes: Mapping[str, Iterable[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package that gives its public names out lazily.

    Args:
        package: Name of the package.
        homes: The public names in each of its modules.
    """
    where = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, found)  # the next one needs not ask
        return found

    return get
