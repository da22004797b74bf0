"""Factories: callables in the user's modules or files that build a model."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from modelexport.errors import ModelExportError, SourceError
from modelexport.hierarchy.source_names import check_file
from modelexport.support.error_texts import first_line
from modelexport.support.real_paths import real_path
from modelexport.tracer.sources.signature import Inputs


def find_factory(source: str, module: str, name: str) -> Callable[[], Any]:
    """Import a module or a file, and find a factory in it.

    Args:
        source: The source as the user wrote it, for errors.
        module: A module, or a file that ends with `.py`.
        name: Name of the factory.

    Raises:
        SourceError: The module cannot be imported, or has no such callable.
    """
    factory = find_object(source, module, name)
    if not callable(factory):
        raise SourceError(f"{source}: {name} is a {type(factory).__name__}, not a callable.")
    return factory  # type: ignore[no-any-return]


def find_object(source: str, module: str, name: str) -> Any:
    """Import a module or a file, and find an object in it.

    Args:
        source: The source as the user wrote it, for errors.
        module: A module, or a file that ends with `.py`.
        name: Name of the object.

    Raises:
        SourceError: The module cannot be imported, or has nothing of this name.
    """
    import_ = _import_file if module.endswith(".py") else _import_module
    try:
        value = getattr(import_(module), name, None)
    except ModelExportError:
        raise
    except Exception as error:
        reason = first_line(error, with_type=True)
        raise SourceError(f"{source}: cannot be imported ({reason}).") from error
    if value is None:
        raise SourceError(f"{source}: {module} has nothing called {name}.")
    return value


def call_factory(source: str, factory: Callable[[], Any]) -> tuple[nn.Module, Inputs | None]:
    """Build a model and its example inputs; None where the factory returns only the model.

    Args:
        source: The source as the user wrote it, for errors.
        factory: The factory.

    Raises:
        SourceError: The factory fails, or returns something else.
    """
    try:
        result = factory()
    except ModelExportError:
        raise
    except Exception as error:
        reason = first_line(error, with_type=True)
        raise SourceError(f"{source}: the factory failed ({reason}).") from error
    is_pair = isinstance(result, tuple) and len(result) == 2
    model, inputs = result if is_pair else (result, None)
    if not isinstance(model, nn.Module):
        raise SourceError(
            f"{source}: the factory returned a {type(model).__name__}, not a torch module "
            "(or a pair of a module and its example inputs)."
        )
    return model, inputs


def _import_module(name: str) -> ModuleType:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def _import_file(file: str) -> ModuleType:
    check_file(file)
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    if (folder := str(real_path(path).parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec.loader.exec_module(module)
    return module
