"""A shortcut to the translations of torch's operators, which the dynamo exporter looks up.

Torch collects all translations anew for each export. Onnxscript then parses the source of each of
them, only to find its domain. That is half of the time that a small model takes. Here they are
collected once for each opset, and not parsed. The exporter finds the same translations.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

from onnxscript import values
from torch.onnx._internal.exporter import _registration


@contextmanager
def translations_collected_once() -> Iterator[None]:
    """Let torch collect its translations once for all exports of this process.

    This uses private parts of torch and onnxscript. With a version that lacks them, nothing is
    changed, and an export takes longer.
    """
    registry: Any = getattr(_registration, "ONNXRegistry", None)
    if not hasattr(registry, "from_torchlib") or not hasattr(registry(), "functions"):
        yield
        return
    collect = registry.from_torchlib

    def from_torchlib(*arguments: Any, **options: Any) -> Any:
        collected = _collected(collect, arguments, frozenset(options.items()))
        copy = registry()
        vars(copy).update(vars(collected))
        copy.functions = {op: [*choices] for op, choices in collected.functions.items()}
        return copy

    with mock.patch.object(registry, "from_torchlib", staticmethod(from_torchlib)):
        yield


@cache
def _collected(
    collect: Any, arguments: tuple[Any, ...], options: frozenset[tuple[str, Any]]
) -> Any:
    """The translations that torch collects. They must not be changed."""
    with _sources_not_parsed():
        return collect(*arguments, **dict(options))


@contextmanager
def _sources_not_parsed() -> Iterator[None]:
    """Give a translation the domain of its opset, without parsing its source."""
    function: Any = getattr(values, "TracedOnnxFunction", None)
    if not all(hasattr(function, name) for name in ("function_ir", "opset")):
        yield
        return
    domain_only = property(lambda self: SimpleNamespace(domain=self.opset.domain))
    with mock.patch.object(function, "function_ir", domain_only):
        yield
