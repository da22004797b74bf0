"""The operators of an eager record: every operator call below autograd, as torch makes it."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.utils.weak import WeakTensorKeyDictionary

from modelexport.hierarchy.choices import ScopeOrigin
from modelexport.hierarchy.fingerprints import (
    ValueFingerprint,
    WeightFingerprint,
    value_fingerprint,
    weight_fingerprint,
)
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Op, Tensor
from modelexport.tracer.eager.arrays import real_numbers
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.eager.running_line import running_line
from modelexport.tracer.records.parameter_index import named_tensors
from modelexport.tracer.sources.signature import ModelCall


class EagerOpCollector:
    """Observes a run, and makes an op of every operator call.

    A tensor gets its name as an object: parameters and inputs have their own, results get new
    ones. A tensor that is written to gets a new name. An operator that later reads another view of
    the same memory reads the written tensor too.

    Args:
        model: The model that runs.
        call: The call on its inputs.
        fingerprints: Whether to keep fingerprints of what is computed.
    """

    def __init__(self, model: nn.Module, call: ModelCall, *, fingerprints: bool = True) -> None:
        self.ops: list[Op] = []
        self._fingerprints = fingerprints
        self._names: Any = WeakTensorKeyDictionary()
        """Name of each tensor, and how many ops there were when it got the name."""
        self._writes: dict[int, list[tuple[int, str]]] = defaultdict(list)
        """Op and new name for each write, by memory."""
        self._parameters_by_memory: dict[int, tuple[str, torch.Tensor]] = {}
        self._constants: list[tuple[str, torch.Tensor]] = []
        self._read_names: set[str] = set()
        self._parameters = {n: t for n, t in named_tensors(model) if not t.is_complex()}
        for name, tensor in self._parameters.items():
            self._names[tensor] = (name, 0)
            if (memory := _memory(tensor)) is not None:
                self._parameters_by_memory.setdefault(memory, (name, tensor))
        for name, tensor in call.tensors.items():
            self._names[tensor] = (name, 0)

    def observe(self, call: OperatorCall) -> None:
        """Make an op of one operator call."""
        results = _unique([*call.outputs, *call.mutated, *_bases(call.mutated)])
        if not call.mutated and all(any(r is read for read in call.inputs) for r in results):
            return  # it returned its inputs, or nothing
        if call.part_outputs is not None:
            for tensor, part in zip(call.outputs, call.part_outputs, strict=True):
                self._names[tensor] = self._names[part]  # the last inner call
            return
        inputs = dict.fromkeys(n for tensor in call.inputs for n in self._names_of(tensor))
        self.ops.append(self._op(call, tuple(inputs), self._name_results(call, results), results))

    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters, buffers and constants that were read."""
        parameters = [(name, name, tensor) for name, tensor in self._parameters.items()]
        constants = [(name, None, tensor) for name, tensor in self._constants]
        return tuple(
            Tensor(name, parameter, _weight_fingerprint(tensor))
            for name, parameter, tensor in (*parameters, *constants)
            if name in self._read_names and not tensor.is_complex()
        )

    def absent(self) -> tuple[Tensor, ...]:
        """Parameters and buffers that were not read."""
        return tuple(
            Tensor(name, name, _weight_fingerprint(tensor))
            for name, tensor in self._parameters.items()
            if name not in self._read_names
        )

    def _name_results(self, call: OperatorCall, results: list[torch.Tensor]) -> tuple[str, ...]:
        """Give new names to what an operator made or wrote to."""
        index = len(self.ops)
        names = tuple(f"%{index}.{number}" for number in range(len(results)))
        for tensor, name in zip(results, names, strict=True):
            self._names[tensor] = (name, index)
        for tensor in call.mutated:
            if (memory := _memory(tensor)) is not None:
                self._writes[memory].append((index, self._names[tensor][0]))
        return names

    def _op(
        self,
        call: OperatorCall,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        results: list[torch.Tensor],
    ) -> Op:
        index = len(self.ops)
        op_type, short_name = _operator_names(call.operator)
        values = tuple(map(_fingerprint, results)) if self._fingerprints else ()
        return Op(
            graph=MAIN,
            index=index,
            name=f"{short_name}_{index}",
            op_type=op_type,
            inputs=inputs,
            outputs=outputs,
            module=None if call.scope is None else call.scope.module,
            call=0 if call.scope is None else call.scope.call,
            scope_from=None if call.scope is None else ScopeOrigin.EAGER,
            values=values if any(values) else (),
            source=running_line(),
        )

    def _names_of(self, tensor: torch.Tensor) -> list[str]:
        """The name of a tensor, and the names that later writes to its memory created."""
        if tensor not in self._names:
            self._names[tensor] = (self._name_unmade(tensor), len(self.ops))
        name, since = self._names[tensor]
        self._read_names.add(name)
        writes = self._writes.get(_memory(tensor) or 0, ())
        return [name, *(written for index, written in writes if index > since)]

    def _name_unmade(self, tensor: torch.Tensor) -> str:
        """The name of a tensor that no operator returned: `data` of a parameter, or a constant."""
        name, parameter = self._parameters_by_memory.get(_memory(tensor) or 0, ("", tensor))
        if name and parameter.numel() == tensor.numel():
            return name
        name = f"%constant.{len(self._constants)}"
        self._constants.append((name, tensor))
        return name


def exporter_decompositions() -> dict[Any, Callable[..., Any]]:
    """Decompositions of composite operators, as exporters use them."""
    aten = torch.ops.aten
    # operators of core aten for which ONNX has no operator at some opset
    fused = [
        *(aten.addmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu),
        *(aten.gelu, aten.native_layer_norm, aten.native_group_norm),
    ]
    return {**core_aten_decompositions(), **get_decompositions(fused)}


def _operator_names(operator: Any) -> tuple[str, str]:
    """Qualified and short name of an operator."""
    if hasattr(operator, "_schema"):
        qualified = str(operator._schema.name)
        return qualified, qualified.rpartition("::")[2]
    return f"{operator.namespace}::{operator.name()}", str(operator.name())


def _unique(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _bases(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors of which some are views."""
    return [base for tensor in tensors if (base := tensor._base) is not None]


def _memory(tensor: torch.Tensor) -> int | None:
    """A number that tensors with the same memory share; None for types without plain memory."""
    if tensor.layout is not torch.strided:
        return None
    return int(tensor.untyped_storage()._cdata)


def _fingerprint(tensor: torch.Tensor) -> ValueFingerprint | None:
    array = real_numbers(tensor)
    return None if array is None else value_fingerprint(array)


def _weight_fingerprint(tensor: torch.Tensor) -> WeightFingerprint | None:
    array = real_numbers(tensor)
    return None if array is None else weight_fingerprint(array)
