"""What the signature and the documentation of a model's forward say about its parameters."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from modelexport.tracer.sources.generated.conventions import COMPUTED, MASK_WORD, common_input

_LINE_END = "\n"
_WHOLE = re.compile(r"(long|int)tensor|\bint\b")
"""Types of whole numbers, in annotations and in documentation."""

_AXES = re.compile(r"[`'][(\[](.*?)[)\]]?\)?[`']")
_PLAIN_AXES = re.compile(r"shape\s+`?[(\[]([\w\s,]+)[)\]]")
"""A shape in quotation marks; one without, after the word."""


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
        return COMPUTED.search(self.name) is None

    @property
    def is_boolean(self) -> bool:
        """Whether it holds truth values."""
        return "bool" in self._type

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers."""
        return _WHOLE.search(self._type) is not None or self.name.endswith("_ids")

    @property
    def is_mask(self) -> bool:
        """Whether it says which elements of another input count."""
        return MASK_WORD in self.name or "booltensor" in self._type

    @property
    def _type(self) -> str:
        """Where its type stands, in lower case: its annotation and the first line of its entry."""
        return f"{self.annotation} {self.text.partition(_LINE_END)[0]}".lower()

    def has_axis(self, name: str) -> bool:
        """Whether the last axis has a name or a number in a documented shape."""
        return any(axes[-1] == name for axes in self.axes)


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


def common_parameter(name: str) -> Parameter:
    """A parameter as the library documents it for all models."""
    return Parameter(name, "", False, *_documented(name, ""))


def _documentation(model: nn.Module) -> Iterator[str]:
    for class_ in type(model).__mro__:
        if (forward := vars(class_).get("forward")) is not None and forward.__doc__:
            yield inspect.cleandoc(forward.__doc__)


def _documented(name: str, documentation: str) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The axes of a parameter, and its entry in lower case.

    Where a model does not document them, what the library documents for all models stands for it.
    """
    axes, text = _own_entry(name, documentation)
    common = common_input(name) or {}
    axes = axes or _axes(_AXES, common.get("shape") or "")
    axes = axes or _axes(_PLAIN_AXES, common.get("description") or "")
    return axes, (text or common.get("description") or "").lower()


def _own_entry(name: str, documentation: str) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The axes of a parameter and its entry, of documentation in Google's style."""
    end = r"(?=^[ \t]*\w+(?: \(|:)|^\S|\Z)"
    formal = rf"^[ \t]*{re.escape(name)} \(([^\n]*)\)[^\n]*\n.*?{end}"
    if (entry := re.search(formal, documentation, re.MULTILINE | re.DOTALL)) is not None:
        return _axes(_AXES, entry[1]), entry[0]
    plain = rf"^[ \t]*{re.escape(name)}: .*?{end}"
    if (entry := re.search(plain, documentation, re.MULTILINE | re.DOTALL)) is not None:
        return _axes(_PLAIN_AXES, entry[0]), entry[0]
    return (), ""


def _axes(pattern: re.Pattern[str], text: str) -> tuple[tuple[str, ...], ...]:
    """The names of axes in each shape that a text gives."""
    shapes = [[part.strip() for part in shape.split(",")] for shape in pattern.findall(text)]
    return tuple(axes for shape in shapes if (axes := tuple(filter(None, shape))))
