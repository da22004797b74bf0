"""What the signature and the documentation of a model's forward say about its parameters."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

_NO_EXAMPLE = re.compile(
    r"label|past_key|embeds$|_outputs$|output_|return_|cache|loss|hidden_states$"
)
"""Parameters that nobody gives for a first run: answers, caches and what other models computed."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a forward.

    Attributes:
        name: Its name.
        annotation: Its type, as text.
        required: Whether it has no default.
        axes: The names of its axes, in each form that the documentation allows.
        text: What the documentation says, in lower case.
    """

    name: str
    annotation: str
    required: bool
    axes: tuple[tuple[str, ...], ...] = ()
    text: str = ""

    @property
    def is_tensor(self) -> bool:
        """Whether it is one tensor."""
        kind = self.annotation.partition("|")[0]
        return ("ensor" in kind and "[" not in kind) or bool(self.axes)

    @property
    def is_example(self) -> bool:
        """Whether a first run may get it."""
        return _NO_EXAMPLE.search(self.name) is None


def documented_parameters(model: nn.Module) -> dict[str, Parameter]:
    """The parameters of a model's forward by name, without those that collect others."""
    documentation = "\n".join(_documentation(model))
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {}
    for name, parameter in inspect.signature(model.forward).parameters.items():
        if parameter.kind in several:
            continue
        axes, text = _documented(name, documentation)
        required = parameter.default is inspect.Parameter.empty
        annotation = "" if parameter.annotation is inspect.Parameter.empty else parameter.annotation
        parameters[name] = Parameter(name, str(annotation), required, axes, text)
    return parameters


def _documentation(model: nn.Module) -> Iterator[str]:
    for class_ in type(model).__mro__:
        if (forward := vars(class_).get("forward")) is not None and forward.__doc__:
            yield inspect.cleandoc(forward.__doc__)


def _documented(name: str, documentation: str) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The axes of a parameter, and its entry, of documentation in Google's style."""
    entry = re.search(
        rf"^[ \t]*{re.escape(name)} \(([^\n]*)\)[^\n]*\n(.*?)(?=^[ \t]*\w+ \(|^\S|\Z)",
        documentation,
        re.MULTILINE | re.DOTALL,
    )
    if entry is None:
        return (), ""
    shapes = re.findall(r"[`'][(\[](.*?)[)\]]?\)?[`']", entry[1])
    axes = tuple(tuple(part.strip() for part in s.split(",") if part.strip()) for s in shapes)
    return tuple(a for a in axes if a), entry[0].lower()
