"""Files that `torch.export.save` wrote: exported programs (`.pt2`).

A program is one graph whose nodes know the modules that they came from. torch builds a tree of
modules with the original names from it, each of which runs its part of the graph.
"""

import inspect
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from modelexport.errors import SourceError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.signature import Inputs


def load_program(source: str, *, trusted: bool) -> tuple[nn.Module, Inputs | None]:
    """Load an exported program as a tree of modules, with its example inputs.

    Args:
        source: The file.
        trusted: Whether the user trusts the file. torch evaluates expressions of such a file,
            unpickles objects in it and calls functions of torch that it names.

    Raises:
        SourceError: The file is not trusted, or torch cannot load it or build its modules.
    """
    if not trusted:
        raise SourceError(
            f"{source}: torch may run code that an exported program (.pt2) brings. If you trust "
            "the file, give --trust-remote-code."
        )
    if not zipfile.is_zipfile(source):
        raise SourceError(f"{source}: not an exported program, which is a zip archive.")
    try:
        with warnings.catch_warnings(), _logged_errors() as logged:
            warnings.simplefilter("ignore")  # torch warns about types of its own
            program = torch.export.load(source)
            model: nn.Module = torch.export.unflatten(program)
        return _as_tree(model, program)
    except Exception as error:
        reason = first_line(logged[0] if logged else error, with_type=True)
        raise SourceError(f"{source}: torch cannot load it ({reason}).") from error


def _as_tree(model: nn.Module, program: Any) -> tuple[nn.Module, Inputs | None]:
    """The modules of a program with their names, and its example inputs."""
    model.eval()
    for module in model.modules():
        _name_class(module)
    _name_parameters(model, program)
    if program.example_inputs is None:
        return model, None
    args, kwargs = program.example_inputs
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    return model, dict(bound.arguments)


@contextmanager
def _logged_errors() -> Iterator[list[BaseException]]:
    """Collect the errors that torch would write to standard error as tracebacks."""
    errors: list[BaseException] = []

    def keep(entry: logging.LogRecord) -> bool:
        if entry.exc_info and entry.exc_info[1] is not None:
            errors.append(entry.exc_info[1])
        return False

    logger = logging.getLogger("torch.export")
    logger.addFilter(keep)
    try:
        yield errors
    finally:
        logger.removeFilter(keep)


def _name_class(module: Any) -> None:
    """Give a module the class name that the program has for it, if it has one."""
    type_name = getattr(module, "_ty", None)  # what torch's `type_name()` returns
    if isinstance(type_name, str):
        package, _, name = type_name.rpartition(".")
        module.__class__ = type(name, (type(module),), {"__module__": package})


def _name_parameters(model: nn.Module, program: Any) -> None:
    """Give the forward the parameters of the exported one."""
    arguments, keywords = program.call_spec.in_spec.children()
    signature = program.module_call_graph[0].signature
    names = getattr(signature, "forward_arg_names", None)
    count = arguments.num_children
    positional = list(names or [])[:count] or [f"input_{k}" for k in range(count)]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in (*positional, *keywords.context)]
    on_arguments, flat = model.forward, inspect.Signature(parameters)

    def forward(*args: Any, **kwargs: Any) -> Any:
        values = flat.bind(*args, **kwargs).arguments
        by_keyword = {name: values[name] for name in keywords.context}
        return on_arguments(*(values[name] for name in positional), **by_keyword)

    forward.__signature__ = flat  # type: ignore[attr-defined]
    model.forward = forward
