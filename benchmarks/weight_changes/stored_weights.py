"""Changing the weights of a module in a file: also in files of fewer bits, as they are stored."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

_LARGEST, _SMALLEST = 0.0, -2.0
"""Powers of ten between which the norm of a change is, over the norm of the weight."""

_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}


def change_arrays(
    arrays: dict[str, np.ndarray], random: np.random.Generator
) -> tuple[dict[str, np.ndarray], str]:
    """Other numbers for some weights, and how they were changed: in one of three manners."""
    strength = 10 ** random.uniform(_SMALLEST, _LARGEST)
    kind = str(random.choice(["noise", "scale", "swap"]))
    changed = {name: _change(array, kind, strength, random) for name, array in arrays.items()}
    return changed, f"{kind} {strength:.3f}"


def _change(
    array: np.ndarray, kind: str, strength: float, random: np.random.Generator
) -> np.ndarray:
    if kind == "scale":
        return (array * (1 + strength)).astype(array.dtype)
    if kind == "swap" and array.size > 1:
        return np.roll(array, 1, axis=0)
    noise = random.standard_normal(array.shape)
    size = np.linalg.norm(array) / max(1e-9, np.linalg.norm(noise))
    return (array + strength * (size or 1.0) * noise).astype(array.dtype)


class StoredWeights:
    """A file in which float weights are replaced, in the form in which it stores them.

    A quantiser of onnxruntime stores `NAME_quantized` in place of NAME, with `NAME_scale` and
    `NAME_zero_point`.

    Args:
        model: The file.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def with_weights(
        self, exact: dict[str, np.ndarray], changed: dict[str, np.ndarray]
    ) -> onnx.ModelProto:
        """The file with changed weights.

        Args:
            exact: The weights as they were, in single precision, by their names.
            changed: The same as they become.
        """
        new: dict[str, np.ndarray] = {}
        for name, array in changed.items():
            if name in self._tensors and self._tensors[name].data_type in _FLOATS:
                stored = numpy_helper.to_array(self._tensors[name])
                new[name] = array.astype(stored.dtype)
            else:
                new |= self._requantised(name, exact[name], array)
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in new:
                tensor.CopyFrom(numpy_helper.from_array(new[tensor.name], tensor.name))
        return model

    def _requantised(
        self, name: str, exact: np.ndarray, changed: np.ndarray
    ) -> dict[str, np.ndarray]:
        """A weight in integers, with another scale: by as much as its largest number grew."""
        if f"{name}_quantized" not in self._tensors:
            name = f"{name}_Transposed"  # of a Gemm that became a MatMul
        integers = self._array(f"{name}_quantized")
        scale_name = next(n for n in self._scale_names(name) if n in self._tensors)
        scale, zero = (
            self._array(scale_name),
            self._array(scale_name.replace("scale", "zero_point")),
        )
        axes = _order(exact, integers, scale, zero)
        exact, changed = exact.transpose(axes), changed.transpose(axes)
        growth = np.abs(changed).max() / max(1e-30, np.abs(exact).max())
        grown = (scale * growth).astype(scale.dtype)
        spread, zeros = _spread(grown, integers), _spread(zero, integers).astype(float)
        limits = np.iinfo(integers.dtype)
        numbers = np.rint(changed / spread) + zeros
        return {
            f"{name}_quantized": np.clip(numbers, limits.min, limits.max).astype(integers.dtype),
            scale_name: grown,
        }

    def _array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self._tensors[name])

    @staticmethod
    def _scale_names(name: str) -> Iterator[str]:
        yield f"{name}_scale"
        yield f"{name}_quantized_scale"


def _order(
    exact: np.ndarray, integers: np.ndarray, scale: np.ndarray, zero: np.ndarray
) -> tuple[int, ...]:
    """The order of axes in which the integers are the weight: as it is, or the last two swapped."""
    straight = tuple(range(exact.ndim))
    numbers = (integers - _spread(zero, integers).astype(float)) * _spread(scale, integers)
    for axes in (straight, (*straight[:-2], *straight[:-3:-1])):
        ordered = exact.transpose(axes)
        if ordered.shape == numbers.shape:
            error = np.abs(ordered - numbers).max()
            if error <= 1.01 * np.abs(scale).max():
                return axes
    raise ValueError("the integers are not those of the weight")


def _spread(parameter: np.ndarray, integers: np.ndarray) -> np.ndarray:
    """A scale or zero point in a shape that fits the integers."""
    if parameter.size == 1:
        return parameter.reshape(())
    axis = next(a for a, extent in enumerate(integers.shape) if extent == parameter.size)
    shape = [1] * integers.ndim
    shape[axis] = parameter.size
    return parameter.reshape(shape)
