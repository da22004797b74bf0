"""What a model computes from no input: positions, rotary tables, masks of a fixed shape.

Exporters fold such values away, each in its own way, so the plain file may not show where they
come from, while another file of the model still computes them. The eager run knows.
"""

import torch
from torch import nn

from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.record import Constant
from modelexport.tracer.eager.dispatch import Heard, numpy_of

_FEWEST_ELEMENTS = 8
_FEWEST_DISTINCT = 3
_LARGEST = 1 << 22
"""Elements; what is larger is a weight in another form, and no exporter computes it anew."""


class Constants:
    """Listens to a run and keeps what depends on no input.

    Args:
        model: The model that runs.
    """

    def __init__(self, model: nn.Module) -> None:
        held = (*model.parameters(), *model.buffers())
        self._independent = {id(tensor): tensor for tensor in held}
        self._found: dict[Constant, None] = {}

    def found(self) -> tuple[Constant, ...]:
        """The constants, each once for every module that computes it."""
        return tuple(self._found)

    def hear(self, call: Heard) -> None:
        """Learn of one operator call."""
        independent = all(id(tensor) in self._independent for tensor in call.given)
        for tensor in call.made:
            if not independent:
                self._independent.pop(id(tensor), None)  # written to
                continue
            known = id(tensor) in self._independent
            self._independent[id(tensor)] = tensor
            written = known and bool(call.written)
            if (written or (not known and call.computed)) and call.scope is not None:
                self._keep(tensor, call.scope.module)

    def _keep(self, tensor: torch.Tensor, module: str) -> None:
        if not _FEWEST_ELEMENTS <= tensor.numel() <= _LARGEST or tensor.is_complex():
            return
        known = value_fingerprint(numpy_of(tensor))
        if known is None or len(set(known.statistics().tolist())) < _FEWEST_DISTINCT:
            return
        self._found[Constant(module, known)] = None
