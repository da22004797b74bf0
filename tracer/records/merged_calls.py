"""Calls of an eager run that an exporter merged into one node, found by their values.

An exporter folds a batch normalisation into a convolution, or makes a padding an attribute of it.
Then the node does the work of several calls, in several modules. The file does not have the values
between these calls, because no node computes them. So the search starts at the call that returned
the node's value. It goes back over calls whose results no node computes, until it reaches values
that the node reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.record import MergedCall
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.records.graph_reads import GraphReads, Value
from modelexport.tracer.records.value_equality import TensorValue, is_distinctive

_MOST_CALLS = 8
"""Maximum number of merged calls of one node, without the last call."""

_Calls = tuple[tuple[str, torch.Tensor], ...]
"""Module and result of each call, in the order of the run."""


@dataclass(frozen=True)
class ObservedResult:
    """A tensor that a call returned.

    Attributes:
        tensor: The tensor.
        value: Its value.
        candidates: The nodes that may compute it, with what they compute.
    """

    tensor: torch.Tensor
    value: TensorValue
    candidates: Sequence[tuple[NodeKey, ValueFingerprint]]


class _Chain(NamedTuple):
    """The calls between values of the file and a tensor.

    Attributes:
        ends: The chain begins at some values. For each of these, the values of the file that it may
            be.
        calls: The calls before the tensor whose results no node computes.
        module: The module of the call that returned the tensor; None when a node computes it.
    """

    ends: frozenset[frozenset[Value]]
    calls: _Calls = ()
    module: str | None = None

    def through(self, tensor: torch.Tensor) -> _Calls:
        """The calls up to and including the one that returned the tensor."""
        return self.calls if self.module is None else (*self.calls, (self.module, tensor))


_UNKNOWN = _Chain(frozenset({frozenset()}))
"""The chain of an unknown tensor: no node reads a value at which it begins."""


class MergedCallCollector:
    """Finds the calls that nodes merge, while a model runs.

    Args:
        reads: What the nodes of the exported graph read.
        inputs: The inputs of the model, by name.

    Attributes:
        merged: The calls whose work a node does, where these ran in several modules.
    """

    def __init__(self, reads: GraphReads, inputs: Mapping[str, torch.Tensor]) -> None:
        self.merged: dict[NodeKey, tuple[MergedCall, ...]] = {}
        self._reads = reads
        self._direct: set[NodeKey] = set()
        self._chains: Any = WeakTensorKeyDictionary()
        """The chain of each tensor that depends on the inputs of the model."""
        for name, tensor in inputs.items():
            self._chains[tensor] = _Chain(frozenset({frozenset({(MAIN, name)})}))

    def add(self, call: OperatorCall, module: str, results: Iterable[ObservedResult]) -> None:
        """Take one operator call into account.

        Args:
            call: The call.
            module: The module in which it ran.
            results: What it returned.
        """
        is_open = bool(call.depth or call.was_entered or call.mutated)
        before = _UNKNOWN if is_open else self._chain_before(call.inputs)
        if before is None:
            return
        for result in results:
            values = (v for key, _ in result.candidates for v in self._reads.outputs(key))
            outputs = frozenset(values)
            if outputs:
                chain = _Chain(frozenset({outputs}))
            elif is_open or before is _UNKNOWN:
                chain = _UNKNOWN
            else:
                chain = before._replace(module=module)
            self._chains[result.tensor] = chain
        for tensor in call.mutated:
            if tensor._base is not None:
                self._chains[tensor._base] = _UNKNOWN

    def match(
        self, key: NodeKey, exporter_module: str | None, call: OperatorCall, result: ObservedResult
    ) -> None:
        """Check whether a node merges a call that may have returned its value with calls before it.

        Args:
            key: The node.
            exporter_module: The module that the exporter gave it; None where it gave none.
            call: The call.
            result: What it returned.
        """
        before = self._chain_before(call.inputs)
        if before is None or call.scope is None or key.graph != MAIN or key in self._direct:
            return
        module = call.scope.module
        if not before.calls:
            if exporter_module in {None, module}:
                self._direct.add(key)
                self.merged.pop(key, None)
            return
        modules = {module, *(path for path, _ in before.calls)}
        if key in self.merged or len(modules) == 1 or exporter_module not in {None, *modules}:
            return
        fingerprint = dict(result.candidates)[key]
        if not (is_distinctive(fingerprint) and result.value.equals(fingerprint)):
            return
        if self._is_all_of(key, before):
            hidden = (MergedCall(path, TensorValue(t).fingerprint) for path, t in before.calls)
            self.merged[key] = (*hidden, MergedCall(module))

    def _is_all_of(self, key: NodeKey, before: _Chain) -> bool:
        """Whether a chain begins exactly at the values that a node reads."""
        read = set(self._reads.inputs(key))
        return all(read & end for end in before.ends) and read <= frozenset().union(*before.ends)

    def _chain_before(self, tensors: Iterable[torch.Tensor]) -> _Chain | None:
        """The joined chains of the tensors that a call reads; None if none depends on an input."""
        chains = [(t, chain) for t in tensors if (chain := self._chains.get(t)) is not None]
        if not chains:
            return None
        calls = dict.fromkeys(
            (module, id(result)) for t, chain in chains for module, result in chain.through(t)
        )
        if len(calls) > _MOST_CALLS or any(chain is _UNKNOWN for _, chain in chains):
            return _UNKNOWN
        results = {id(r): r for t, chain in chains for _, r in chain.through(t)}
        ends = frozenset(end for _, chain in chains for end in chain.ends)
        return _Chain(ends, tuple((module, results[number]) for module, number in calls))
