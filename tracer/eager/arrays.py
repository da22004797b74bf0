"""Tensors of torch as arrays of numpy."""

import torch

from modelexport.hierarchy.fingerprints import Array

_NUMPY_FLOATS = {torch.float16, torch.float32, torch.float64}


def to_numpy(tensor: torch.Tensor) -> Array:
    """The values of a tensor; floating-point types that numpy lacks become float32."""
    dense = tensor.detach().cpu()
    lacks = dense.is_floating_point() and dense.dtype not in _NUMPY_FLOATS
    return (dense.float() if lacks else dense).numpy()
