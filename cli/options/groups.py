"""Groups of options: a command takes a dataclass of options as one parameter.

Typer reads options from a function's signature. `expand_groups` shows it a signature in which the
fields of each dataclass stand in place of the parameter. A group with a `topic` has a section in
the help: all its options stand there, except those that name another topic.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints


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
    topic = getattr(group, "topic", None)
    for field in fields(group):
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=_under_topic(types[field.name], topic),
        )


def _under_topic(annotation: Any, topic: str | None) -> Any:
    """The annotation of an option that stands under a topic of the help."""
    value_type, option = get_args(annotation)
    if option.rich_help_panel is None:
        option = copy(option)
        option.rich_help_panel = topic
    return Annotated[value_type, option]
