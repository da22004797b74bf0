"""Groups of options: a command takes a dataclass of options as one parameter.

Typer reads options from a function's signature. `expand_groups` shows it a signature in which the
fields of each dataclass stand in place of the parameter.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose groups of options are single options for typer.

    Args:
        command: A function. Each parameter whose type is a dataclass is a group: its fields are
            options, annotated as typer wants them, with defaults.
    """
    signature = inspect.signature(command)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += _parameters(parameter.annotation)
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def expanded(**arguments: Any) -> None:
        for name, group in groups.items():
            values = {field.name: arguments.pop(field.name) for field in fields(group)}
            arguments[name] = group(**values)
        command(**arguments)

    vars(expanded)["__signature__"] = signature.replace(parameters=parameters)
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    return expanded


def _parameters(group: Any) -> Iterator[inspect.Parameter]:
    """A keyword parameter for each field of a group."""
    types = get_type_hints(group, include_extras=True)
    for field in fields(group):
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=types[field.name],
        )
