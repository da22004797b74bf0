"""Arrays into onnxruntime and out of it, also of the types that numpy itself lacks.

numpy has no bfloat16, no floats of 8 or 4 bits, no integers below 8 bits. onnxruntime's own
conversion refuses them, or returns their bytes as integers. So they go in and come out as their
bytes, with the type beside them; in between they have the types of `ml_dtypes`, as onnx uses them.
"""

import ctypes
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array, is_native
from modelexport.support.limited_call import limited_call

_Result = TypeVar("_Result")

_CONVERTED = re.compile(
    r"tensor\((float|float16|double|bool|string|complex64|complex128|u?int(8|16|32|64))\)"
)
"""Types that onnxruntime converts to the same type of numpy."""

_TENSOR = "tensor("


def runtime_feeds(ort_value: Any, feeds: Mapping[str, Array]) -> dict[str, Any]:
    """Inputs as `InferenceSession.run` takes them.

    Args:
        ort_value: The class `onnxruntime.OrtValue`.
        feeds: An array for each input.
    """
    return {
        name: array if is_native(array.dtype) else runtime_value(ort_value, array)
        for name, array in feeds.items()
    }


def runtime_value(ort_value: Any, array: Array) -> Any:
    """An `OrtValue` that holds an array.

    Args:
        ort_value: The class `onnxruntime.OrtValue`.
        array: The values. They must stay in memory as long as the result is used.
    """
    array = np.ascontiguousarray(array)
    if is_native(array.dtype):
        return ort_value.ortvalue_from_numpy(array)
    stored = array.view(f"u{array.dtype.itemsize}")
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return ort_value.ortvalue_from_numpy_with_onnx_type(stored, kind)


def run_limited(
    session: Any,
    ort: Any,
    names: Iterable[str],
    feeds: Mapping[str, Array],
    *,
    seconds: float | None = None,
) -> list[Any]:
    """The same as `run_session`; a signal ends the run, and so does a limit that is met.

    Args:
        session: An `onnxruntime.InferenceSession`.
        ort: The module `onnxruntime`.
        names: Names of the outputs.
        feeds: An array for each input.
        seconds: Most seconds that the run may take; None for no limit.

    Raises:
        CallLimitError: It took more time, or more memory than the machine can spare.
    """
    return with_limits(
        ort, lambda options: run_session(session, ort, names, feeds, options), seconds=seconds
    )


def with_limits(
    ort: Any, call: Callable[[Any], _Result], *, seconds: float | None = None
) -> _Result:
    """The result of a call that runs sessions, which a signal ends, or a limit that is met.

    Args:
        ort: The module `onnxruntime`.
        call: Gets the `onnxruntime.RunOptions` of its runs.
        seconds: Most seconds that it may take; None for no limit.

    Raises:
        CallLimitError: It took more time, or more memory than the machine can spare.
    """
    options = ort.RunOptions()

    def stop() -> None:
        options.terminate = True  # onnxruntime looks at it before each node

    return limited_call(lambda: call(options), stop=stop, seconds=seconds)


def run_session(
    session: Any, ort: Any, names: Iterable[str], feeds: Mapping[str, Array], options: Any = None
) -> list[Any]:
    """Some outputs of a session, in the order of their names.

    Args:
        session: An `onnxruntime.InferenceSession`.
        ort: The module `onnxruntime`.
        names: Names of the outputs.
        feeds: An array for each input.
        options: `onnxruntime.RunOptions` of the run.

    Returns:
        An array for each tensor, in its own type. Values that are no tensors are as onnxruntime
        returns them; beside tensors of types that numpy lacks, they are None.
    """
    names = list(names)
    types = {output.name: output.type for output in session.get_outputs()}
    if not any(_needs_bytes(types.get(name, "")) for name in names):
        return list(session.run(names, runtime_feeds(ort.OrtValue, feeds), options))
    values = {name: runtime_value(ort.OrtValue, array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(names, values, options)]


def _needs_bytes(kind: str) -> bool:
    """Whether onnxruntime has no array for a type, or one of another type."""
    return kind.startswith(_TENSOR) and _CONVERTED.fullmatch(kind) is None


def _array(value: Any) -> Array | None:
    """The array in an `OrtValue`; None where there is none."""
    if not value.has_value() or not value.is_tensor():
        return None
    if not _needs_bytes(value.data_type()):
        converted: Array = value.numpy()
        return converted
    stored = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    tensor = onnx.TensorProto(data_type=value.element_type(), dims=value.shape(), raw_data=stored)
    return onnx.numpy_helper.to_array(tensor)
