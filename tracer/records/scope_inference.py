"""Scopes for nodes that the exporter left without one: what the eager run computed, and where."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.tracer.eager.dispatch import Heard, Listening, numpy_of, run, watched
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.sources.signature import Call

_Wanted = dict[tuple[int, str], list[tuple[NodeKey, ValueFingerprint]]]
"""Nodes and what they make, by number of elements and kind of numbers."""

_FEWEST_ELEMENTS = 12
_FEWEST_DISTINCT = 3
"""A value with fewer elements or distinct numbers is too common to say where it came from."""

_TOLERANCE = 1e-4
"""Of the greatest magnitude; two runtimes differ in the last digits."""


def settle(
    model: nn.Module, call: Call, open_nodes: Mapping[NodeKey, Iterable[ValueFingerprint]]
) -> dict[NodeKey, Scope]:
    """Find the module of some nodes by the values that they compute.

    A node is settled when exactly one call of one module computed what it computes; or, where
    none computed it, when exactly one passed it on, as a view (a split, say) or a copy. In a
    subgraph, the calls of one module may be several: it runs in each round of a loop.
    """
    wanted: _Wanted = defaultdict(list)
    for key, prints in open_nodes.items():
        for fingerprint in prints:
            if _telling(fingerprint):
                wanted[_bucket(fingerprint)].append((key, fingerprint))
    if not wanted:
        return {}
    computed: dict[NodeKey, set[Scope]] = defaultdict(set)
    viewed: dict[NodeKey, set[Scope]] = defaultdict(set)

    def hear(heard: Heard) -> None:
        if heard.scope is not None:
            for tensor in heard.made:
                for key, fingerprint in held(tensor, wanted):
                    given = {_bucket(fingerprint): [(key, fingerprint)]}
                    passed_on = not heard.computed or any(held(t, given) for t in heard.given)
                    (viewed if passed_on else computed)[key].add(heard.scope)

    def held(tensor: torch.Tensor, looked_for: _Wanted) -> list[tuple[NodeKey, ValueFingerprint]]:
        kind = "f" if tensor.is_floating_point() else "b" if tensor.dtype is torch.bool else "i"
        candidates = looked_for.get((tensor.numel(), kind))
        if not candidates or tensor.is_complex():
            return []
        seen = value_fingerprint(numpy_of(tensor))
        return [c for c in candidates if seen is not None and alike(seen, c[1])]

    with watched(model) as watch, Listening(watch, hear, inside=True):
        run(model, call)
    settled = {key: _common(key, scopes) for key, scopes in (viewed | computed).items()}
    return {key: scope for key, scope in settled.items() if scope is not None}


def _common(key: NodeKey, scopes: set[Scope]) -> Scope | None:
    """What some scopes have in common: one call; in a subgraph, which may run again, one module."""
    first = min(scopes, key=lambda scope: scope.call)
    if len(scopes) == 1:
        return first
    return first if key.graph != MAIN and len({s.module for s in scopes}) == 1 else None


def _telling(fingerprint: ValueFingerprint) -> bool:
    return (
        int(np.prod(fingerprint.shape)) >= _FEWEST_ELEMENTS
        and np.unique(fingerprint.statistics()).size >= _FEWEST_DISTINCT
    )


def _bucket(fingerprint: ValueFingerprint) -> tuple[int, str]:
    return int(np.prod(fingerprint.shape)), "i" if fingerprint.kind == "u" else fingerprint.kind


def alike(left: ValueFingerprint, right: ValueFingerprint) -> bool:
    """Whether two runtimes computed the same, up to the last digits."""
    a, b = left.statistics(), right.statistics()
    if a.size != b.size or left.nan != right.nan:
        return False
    scale = max(float(np.abs(a).max(initial=0)), 1e-30)
    return bool(np.abs(a - b).max(initial=0) <= _TOLERANCE * scale)
