"""Inferring the scope of nodes from their values: which module computes them in an eager run.

The exporter left these nodes without a scope, or changed their weights.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.tracer.eager.arrays import real_numbers
from modelexport.tracer.eager.dispatch import OperatorCall, OperatorObserver
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.eager.module_tracker import track_modules
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.sources.signature import ModelCall

_NodeValue = tuple[NodeKey, ValueFingerprint]
"""A node and the fingerprint of a value that it computes."""

_MIN_ELEMENTS = 12
_MIN_DISTINCT = 3
"""Minimum number of elements and of distinct values of a value that identifies a module; smaller
ones are too common."""

_TOLERANCE = 1e-4
"""Maximum difference of two equal values, as a share of the largest magnitude: two runtimes
differ in the last digits."""


def infer_scopes(
    model: nn.Module, call: ModelCall, nodes: Mapping[NodeKey, Iterable[ValueFingerprint]]
) -> dict[NodeKey, Scope]:
    """Find the module of nodes by the values that they compute.

    A node gets a scope when exactly one call of one module computed its value. Where none computed
    it, exactly one call must have passed it on, as a view (a split, for example) or a copy. For a
    node in a subgraph there may be several calls of one module: it runs in each round of a loop.

    Args:
        model: The model, which runs once.
        call: A call on the inputs on which the fingerprints were computed.
        nodes: The nodes, each with the fingerprints of its values.

    Returns:
        The scopes that were found.
    """
    locator = _ValueLocator(nodes)
    if locator.has_nothing_to_find:
        return {}
    with (
        track_modules(model) as tracker,
        OperatorObserver(tracker, locator.observe, enter_control_flow=True),
    ):
        run_model(model, call)
    return locator.scopes()


class _ValueLocator:
    """Observes a run, and collects which calls compute or pass on the values of nodes.

    Args:
        nodes: The nodes, each with the fingerprints of its values.
    """

    def __init__(self, nodes: Mapping[NodeKey, Iterable[ValueFingerprint]]) -> None:
        self._by_kind: dict[tuple[int, str], list[_NodeValue]] = defaultdict(list)
        for key, fingerprints in nodes.items():
            for fingerprint in fingerprints:
                if _is_distinctive(fingerprint):
                    self._by_kind[_kind(fingerprint)].append((key, fingerprint))
        self._computed: dict[NodeKey, set[Scope]] = defaultdict(set)
        self._passed_on: dict[NodeKey, set[Scope]] = defaultdict(set)

    @property
    def has_nothing_to_find(self) -> bool:
        """Whether no value is distinctive."""
        return not self._by_kind

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        if call.scope is None:
            return
        for tensor in call.outputs:
            for key, fingerprint in self._nodes_with_value(tensor):
                passed_on = not call.computes or any(
                    _holds(read, fingerprint) for read in call.inputs
                )
                (self._passed_on if passed_on else self._computed)[key].add(call.scope)

    def scopes(self) -> dict[NodeKey, Scope]:
        """The scope of each node for which there is exactly one."""
        candidates = self._passed_on | self._computed
        scopes = {key: _single_scope(key, scopes) for key, scopes in candidates.items()}
        return {key: scope for key, scope in scopes.items() if scope is not None}

    def _nodes_with_value(self, tensor: torch.Tensor) -> list[_NodeValue]:
        candidates = self._by_kind.get(_tensor_kind(tensor))
        if not candidates or (array := real_numbers(tensor)) is None:
            return []
        computed = value_fingerprint(array)
        return [c for c in candidates if computed is not None and values_agree(computed, c[1])]


def _holds(tensor: torch.Tensor, fingerprint: ValueFingerprint) -> bool:
    """Whether a tensor has the value of a fingerprint."""
    if _tensor_kind(tensor) != _kind(fingerprint) or (array := real_numbers(tensor)) is None:
        return False
    computed = value_fingerprint(array)
    return computed is not None and values_agree(computed, fingerprint)


def _single_scope(key: NodeKey, scopes: set[Scope]) -> Scope | None:
    """The only scope; for a node in a subgraph, the first call of the only module."""
    first = min(scopes, key=lambda scope: scope.call)
    if len(scopes) == 1:
        return first
    return first if key.graph != MAIN and len({s.module for s in scopes}) == 1 else None


def _is_distinctive(fingerprint: ValueFingerprint) -> bool:
    """Whether a value is rare enough to identify the module that computes it."""
    return (
        int(np.prod(fingerprint.shape)) >= _MIN_ELEMENTS
        and np.unique(fingerprint.statistics()).size >= _MIN_DISTINCT
    )


def _kind(fingerprint: ValueFingerprint) -> tuple[int, str]:
    """Number and kind of the elements of a value; equal values have the same."""
    return int(np.prod(fingerprint.shape)), "i" if fingerprint.kind == "u" else fingerprint.kind


def _tensor_kind(tensor: torch.Tensor) -> tuple[int, str]:
    kind = "f" if tensor.is_floating_point() else "b" if tensor.dtype is torch.bool else "i"
    return tensor.numel(), kind


def values_agree(left: ValueFingerprint, right: ValueFingerprint) -> bool:
    """Whether two runtimes computed the same value, up to the last digits."""
    a, b = left.statistics(), right.statistics()
    if a.size != b.size or left.nan != right.nan:
        return False
    scale = max(float(np.abs(a).max(initial=0)), 1e-30)
    return bool(np.abs(a - b).max(initial=0) <= _TOLERANCE * scale)
