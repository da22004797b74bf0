"""A shortcut to the translations of torch's operators, which the dynamo exporter looks up.

Torch collects all translations anew for each export. Onnxscript parses the source of each of them
then, only to tell a domain. That is half of the time that a small model takes. Here they are
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

    What is used of torch and onnxscript is private. Where a version of them does not have that,
    nothing is changed: an export takes longer then.
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
    """What torch collects; nobody changes it."""
    with _sources_not_parsed():
        return collect(*arguments, **dict(options))


@contextmanager
def _sources_not_parsed() -> Iterator[None]:
    """Let a translation tell its domain, which is that of its opset, and nothing else."""
    function: Any = getattr(values, "TracedOnnxFunction", None)
    if not all(hasattr(function, name) for name in ("function_ir", "opset")):
        yield
        return
    domain_only = property(lambda self: SimpleNamespace(domain=self.opset.domain))
    with mock.patch.object(function, "function_ir", domain_only):
        yield
