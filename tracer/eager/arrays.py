"""Tensors of torch as arrays of numpy."""

import torch

from modelexport.hierarchy.fingerprints import Array

_NUMPY_FLOATS = {torch.float16, torch.float32, torch.float64}


def to_numpy(tensor: torch.Tensor) -> Array | None:
    """The values of a tensor as numpy can hold them.

    Floating-point types that numpy lacks become float32. Quantised tensors become the real
    numbers that they stand for.

    Returns:
        The values; None where numpy cannot hold them: sparse and packed tensors, tensors without
        memory, and those of classes that give no plain values.
    """
    if tensor.layout is not torch.strided:
        return None
    try:
        dense = tensor.detach().cpu()
        if dense.is_quantized:
            dense = dense.dequantize()
        lacks = dense.is_floating_point() and dense.dtype not in _NUMPY_FLOATS
        array: Array = (dense.float() if lacks else dense).resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError):  # each type and class of tensor refuses in its own way
        return None
    return array


def real_numbers(tensor: torch.Tensor) -> Array | None:
    """The values of a tensor, where they are real numbers that numpy can hold; else None."""
    return None if tensor.is_complex() else to_numpy(tensor)
