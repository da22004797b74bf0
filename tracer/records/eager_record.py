"""The *eager record*: what a model computes when no exporter is asked.

The model runs as it is, and every operator call below autograd is an op of the record. An ONNX
file of the model is matched with it by what its tensors hold; operators have other names here.
"""

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
    value_fingerprint,
    weight_fingerprint,
)
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Op, Tensor
from modelexport.tracer.eager.dispatch import Heard, numpy_of
from modelexport.tracer.records.parameters import named_tensors
from modelexport.tracer.sources.signature import Call


class EagerOps:
    """Writes every operator call of a run down.

    Tensors are told apart by identity. One that is written to gets a new name; whoever reads
    another view of the same memory afterwards reads what was written as well.

    Args:
        model: The model that runs.
        call: What it runs on.
        fingerprints: Whether to keep fingerprints of what is computed.
    """

    def __init__(self, model: nn.Module, call: Call, *, fingerprints: bool = True) -> None:
        self.ops: list[Op] = []
        self._fingerprints = fingerprints
        self._named: Any = WeakTensorKeyDictionary()
        self._written: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self._parameters: dict[int, tuple[str, torch.Tensor]] = {}
        self._constants: list[tuple[str, torch.Tensor]] = []
        self._read: set[str] = set()
        self._held = {n: t for n, t in named_tensors(model) if not t.is_complex()}
        for name, tensor in self._held.items():
            self._named[tensor] = (name, 0)
            if (memory := _memory(tensor)) is not None:
                self._parameters.setdefault(memory, (name, tensor))
        for name, tensor in call.tensors.items():
            self._named[tensor] = (name, 0)

    def hear(self, call: Heard) -> None:
        """Write one operator call down."""
        made = _once([*call.made, *call.written, *_wholes(call.written)])
        if not call.written and all(any(t is given for given in call.given) for t in made):
            return  # it gave its input back, or nothing
        if call.parts is not None:
            for tensor, part in zip(call.made, call.parts, strict=True):
                self._named[tensor] = self._named[part]  # the last of its parts made it
            return
        inputs = tuple(dict.fromkeys(n for tensor in call.given for n in self._names_of(tensor)))
        index = len(self.ops)
        kind, name = _kind(call.operator)
        outputs = tuple(f"%{index}.{place}" for place in range(len(made)))
        for tensor, output in zip(made, outputs, strict=True):
            self._named[tensor] = (output, index)
        for tensor in call.written:
            if (memory := _memory(tensor)) is not None:
                self._written[memory].append((index, self._named[tensor][0]))
        values = tuple(map(_fingerprint, made)) if self._fingerprints else ()
        self.ops.append(
            Op(
                graph=MAIN,
                index=index,
                name=f"{name}_{index}",
                op_type=kind,
                inputs=inputs,
                outputs=outputs,
                module=None if call.scope is None else call.scope.module,
                call=0 if call.scope is None else call.scope.call,
                scope_from=None if call.scope is None else ScopeOrigin.EAGER,
                values=values if any(values) else (),
            )
        )

    def tensors(self) -> tuple[Tensor, ...]:
        """Parameters, buffers and constants that were read."""
        held = [(name, name, tensor) for name, tensor in self._held.items()]
        made = [(name, None, tensor) for name, tensor in self._constants]
        return tuple(
            Tensor(name, parameter, weight_fingerprint(numpy_of(tensor)))
            for name, parameter, tensor in (*held, *made)
            if name in self._read and not tensor.is_complex()
        )

    def absent(self) -> tuple[Tensor, ...]:
        """Parameters and buffers that were not read."""
        return tuple(
            Tensor(name, name, weight_fingerprint(numpy_of(tensor)))
            for name, tensor in self._held.items()
            if name not in self._read
        )

    def _names_of(self, tensor: torch.Tensor) -> list[str]:
        """Its name, and those of what was written into its memory since it got that."""
        if tensor not in self._named:
            self._named[tensor] = (self._outside(tensor), len(self.ops))
        name, since = self._named[tensor]
        self._read.add(name)
        written = self._written.get(_memory(tensor) or 0, ())
        return [name, *(other for when, other in written if when > since)]

    def _outside(self, tensor: torch.Tensor) -> str:
        """The name of a tensor that no operator made: a parameter's `data`, or a constant."""
        name, whole = self._parameters.get(_memory(tensor) or 0, ("", tensor))
        if name and whole.numel() == tensor.numel():
            return name
        name = f"%constant.{len(self._constants)}"
        self._constants.append((name, tensor))
        return name


def parts_of_operators() -> dict[Any, Callable[..., Any]]:
    """How composite operators are taken apart, as exporters do it."""
    aten = torch.ops.aten
    # of core aten, what ONNX has no operator for at some opset
    fused = [
        *(aten.addmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu),
        *(aten.gelu, aten.native_layer_norm, aten.native_group_norm),
    ]
    return {**core_aten_decompositions(), **get_decompositions(fused)}


def _kind(operator: Any) -> tuple[str, str]:
    """Qualified and short name of an operator."""
    if hasattr(operator, "_schema"):
        qualified = str(operator._schema.name)
        return qualified, qualified.rpartition("::")[2]
    return f"{operator.namespace}::{operator.name()}", str(operator.name())


def _once(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _wholes(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors of which some are views."""
    return [base for tensor in tensors if (base := tensor._base) is not None]


def _memory(tensor: torch.Tensor) -> int | None:
    """What tensors have in common that share their memory."""
    if tensor.layout is not torch.strided:
        return None
    return int(tensor.untyped_storage()._cdata)


def _fingerprint(tensor: torch.Tensor) -> ValueFingerprint | None:
    if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized:
        return None
    return value_fingerprint(numpy_of(tensor))
