"""Searching an eager run for the values of nodes: which calls compute them or pass them on.

Fingerprints cost time. So a tensor gets one only if its least and greatest number agree with those
of a node's value, and if the result can change something.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.records.merged_calls import MergedCallCollector, ObservedResult
from modelexport.tracer.records.value_equality import (
    Kind,
    TensorValue,
    ValueGroup,
    kind,
    tensor_kind,
)


@dataclass(frozen=True)
class NodeValues:
    """What a node computes on the probe inputs.

    Attributes:
        outputs: Fingerprints of what it computes; in a loop, of several rounds.
        passes_on: Whether it returns one of its inputs.
        has_subgraphs: Whether it is a branch or a loop.
        module: The module that the exporter gave; None where it gave none.
        is_open: Whether all modules that compute its value are searched, whatever the exporter
            says.
    """

    outputs: tuple[ValueFingerprint, ...]
    passes_on: bool = False
    has_subgraphs: bool = False
    module: str | None = None
    is_open: bool = False


@dataclass(frozen=True)
class Sighting:
    """A call that returned the value of a node.

    Attributes:
        scope: Where it ran.
        value: The value.
        computes: Whether none of its inputs has the value.
        enters: Whether it is a branch or a loop.
        read: Fingerprints of what it read.
        written: Number of inputs to which it wrote. What they held before is unknown.
        has_shape: Whether what it returned has the shape of the node's value.
        depth: Number of branches and loops inside which it ran.
    """

    scope: Scope
    value: ValueFingerprint
    computes: bool
    enters: bool
    read: tuple[ValueFingerprint, ...]
    written: int
    has_shape: bool
    depth: int


class SightingCollector:
    """Observes a run, and collects the sightings of nodes.

    A node is *confirmed* when a call in the module that the exporter gave returns its value. Then
    nothing else is looked for, unless the node is open.

    Args:
        nodes: What the nodes compute.
        all_sightings: Whether to collect the sightings of all nodes; else only those of open ones,
            and `suspects` of the others. This is much faster.
        merged_calls: Gets every call with what it returned; None if merged calls are not needed.

    Attributes:
        confirmed: The nodes that are confirmed.
        suspects: Nodes whose value, by its extremes, was computed in another module. The exporter
            may be wrong about those that are not confirmed.
    """

    def __init__(
        self,
        nodes: Mapping[NodeKey, NodeValues],
        *,
        all_sightings: bool = True,
        merged_calls: MergedCallCollector | None = None,
    ) -> None:
        self.confirmed: set[NodeKey] = set()
        self.suspects: set[NodeKey] = set()
        self._all_sightings = all_sightings
        self._merged_calls = merged_calls
        self._nodes = nodes
        self._sightings: dict[NodeKey, dict[Sighting, None]] = defaultdict(dict)
        values: dict[Kind, list[tuple[NodeKey, ValueFingerprint]]] = defaultdict(list)
        for key, node in nodes.items():
            for output in node.outputs:
                values[kind(output)].append((key, output))
        self._groups = {kind_: ValueGroup(group) for kind_, group in values.items() if kind_[0]}

    def sightings(self, key: NodeKey) -> list[Sighting]:
        """The sightings of one node, in the order of the run."""
        return list(self._sightings.get(key, ()))

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        if call.scope is None:
            return
        written = {id(tensor) for tensor in call.mutated}
        read = [TensorValue(tensor) for tensor in call.inputs if id(tensor) not in written]
        results = [self._result(tensor) for tensor in call.outputs]
        for result in results:
            for key, fingerprint in result.candidates:
                self._observe_candidate(call, result, key, fingerprint, read)
        if self._merged_calls is not None:
            self._merged_calls.add(call, call.scope.module, results)

    def _result(self, tensor: torch.Tensor) -> ObservedResult:
        group = self._groups.get(tensor_kind(tensor))
        value = TensorValue(tensor)
        return ObservedResult(tensor, value, () if group is None else group.candidates(value))

    def _observe_candidate(
        self,
        call: OperatorCall,
        result: ObservedResult,
        key: NodeKey,
        fingerprint: ValueFingerprint,
        read: list[TensorValue],
    ) -> None:
        """Take into account that a call may have returned the value of a node."""
        assert call.scope is not None
        node, value = self._nodes[key], result.value
        may_be = _may_be(node, call, value, fingerprint, read)
        if may_be and not (node.passes_on or node.has_subgraphs) and self._merged_calls is not None:
            self._merged_calls.match(key, node.module, call, result)
        if key in self.confirmed and not node.is_open:
            return
        is_own = node.module == call.scope.module
        if may_be:
            (self.confirmed if is_own else self.suspects).add(key)
        is_wanted = node.is_open or (self._all_sightings and not is_own)
        if is_wanted and value.equals(fingerprint):
            self._sightings[key][_sighting(call, value, fingerprint, read)] = None


def _may_be(
    node: NodeValues,
    call: OperatorCall,
    value: TensorValue,
    fingerprint: ValueFingerprint,
    read: list[TensorValue],
) -> bool:
    """Whether a call that returned the value of a node may be what the node does."""
    if node.has_subgraphs:
        return call.was_entered
    if node.passes_on:
        return value.shape == fingerprint.shape
    return call.computes and not any(value.copies(tensor) for tensor in read)


def _sighting(
    call: OperatorCall,
    value: TensorValue,
    fingerprint: ValueFingerprint,
    read: list[TensorValue],
) -> Sighting:
    assert call.scope is not None
    return Sighting(
        scope=call.scope,
        value=fingerprint,
        computes=call.computes and not any(tensor.equals(fingerprint) for tensor in read),
        enters=call.was_entered,
        read=tuple(f for tensor in read if (f := tensor.fingerprint) is not None),
        written=len(call.mutated),
        has_shape=value.shape == fingerprint.shape,
        depth=call.depth,
    )
