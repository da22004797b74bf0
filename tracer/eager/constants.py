"""What a model computes without any input: positions, rotary tables, masks of a fixed shape.

Exporters fold such values, each in its own way. So the plain file may not show where they come
from, while another file of the model still computes them. An eager run shows it.
"""

import torch
from torch import nn

from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.record import Constant
from modelexport.tracer.eager.arrays import real_numbers
from modelexport.tracer.eager.dispatch import OperatorCall

_MIN_ELEMENTS = 8
_MIN_DISTINCT = 3
"""Minimum number of elements and of distinct values of a constant; smaller ones are common."""

_MAX_ELEMENTS = 1 << 22
"""Maximum number of elements. A larger constant is a weight in another form, which no exporter
computes anew."""


class ConstantCollector:
    """Observes a run, and collects the values that do not depend on the inputs.

    Args:
        model: The model that runs.
    """

    def __init__(self, model: nn.Module) -> None:
        weights = (*model.parameters(), *model.buffers())
        self._independent = {id(tensor): tensor for tensor in weights}
        self._constants: dict[Constant, None] = {}

    def constants(self) -> tuple[Constant, ...]:
        """The constants, each once for every module that computes it."""
        return tuple(self._constants)

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        is_constant = all(id(tensor) in self._independent for tensor in call.inputs)
        for tensor in call.outputs:
            if not is_constant:
                self._independent.pop(id(tensor), None)  # an operator wrote to it continue
            existed = id(tensor) in self._independent
            self._independent[id(tensor)] = tensor
            is_new_value = bool(call.mutated) if existed else call.computes
            if is_new_value and call.scope is not None:
                self._add(tensor, call.scope.module)

    def _add(self, tensor: torch.Tensor, module: str) -> None:
        if not _MIN_ELEMENTS <= tensor.numel() <= _MAX_ELEMENTS:
            return
        array = real_numbers(tensor)
        fingerprint = None if array is None else value_fingerprint(array)
        if fingerprint is None or len(set(fingerprint.statistics().tolist())) < _MIN_DISTINCT:
            return
        self._constants[Constant(module, fingerprint)] = None
