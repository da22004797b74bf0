"""Steps that lose digits: fp16 and quantisation, by the tools that people use for it."""

from collections.abc import Callable, Iterator, Mapping

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

from agreement.steps import Carry, Conversion, Step
from fixtures_gen.onnx_values import Array

_BLOCK = 16
"""Weights that share one scale in 4-bit quantisation; the models here are narrow."""


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """The model's own inputs, once."""

    def __init__(self, feeds: Mapping[str, Array]) -> None:
        self._left: Iterator[dict[str, Array]] = iter([dict(feeds)])

    def get_next(self) -> dict[str, Array] | None:
        """The next inputs, None at the end."""
        return next(self._left, None)


def _half_by_onnxruntime(conversion: Conversion) -> None:
    from onnxruntime.transformers import float16

    conversion.save(float16.convert_float_to_float16(conversion.load(), keep_io_types=True))


def _half_by_common(conversion: Conversion) -> None:
    from onnxconverter_common import float16

    conversion.save(float16.convert_float_to_float16(conversion.load()))


def _prepared(conversion: Conversion) -> None:
    quant_pre_process(str(conversion.source), str(conversion.target))


def _dynamic(conversion: Conversion) -> None:
    quantize_dynamic(conversion.source, conversion.target)


def _static(form: QuantFormat, **options: bool) -> Callable[[Conversion], None]:
    def apply(conversion: Conversion) -> None:
        quantize_static(
            str(conversion.source),
            str(conversion.target),
            _Feeds(conversion.feeds),
            quant_format=form,
            extra_options=dict(options),
        )

    return apply


def _four_bits(conversion: Conversion) -> None:
    quantizer = MatMulNBitsQuantizer(conversion.load(), block_size=_BLOCK)
    quantizer.process()
    quantizer.model.save_model_to_file(str(conversion.target))


def _rounded(kind: str) -> Callable[[Conversion], None]:
    """Round the weights to a type, and store them as they were: to this type and back."""
    greatest = float(ml_dtypes.finfo(kind).max)

    def apply(conversion: Conversion) -> None:
        model = conversion.load()
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                numbers = numpy_helper.to_array(tensor).clip(-greatest, greatest)
                numbers = numbers.astype(kind).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
        conversion.save(model)

    return apply


HALF_PRECISION = Step("fp16 (onnxruntime)", _half_by_onnxruntime, Carry.NAMES, loss="fp16")
HALF_COMMON = Step("fp16 (onnxconverter-common)", _half_by_common, Carry.NAMES, loss="fp16")
HALF_AND_BACK = Step("fp16 and back", _rounded("float16"), Carry.POSITIONS, loss="fp16")
BFLOAT16_AND_BACK = Step("bf16 and back", _rounded("bfloat16"), Carry.POSITIONS, loss="fp16")
PREPARED = Step("prepared", _prepared)
DYNAMIC = Step("int8 dynamic", _dynamic, Carry.NAMES, loss="quantised")
QDQ = Step("int8 QDQ", _static(QuantFormat.QDQ), Carry.NAMES, loss="quantised")
# Without the option the tool writes files that lack the products of two activations.
_STATIC_OPERATORS = _static(QuantFormat.QOperator, MatMulConstBOnly=True)
QOPERATOR = Step("int8 QOperator", _STATIC_OPERATORS, Carry.NAMES, loss="quantised")
FOUR_BITS = Step("4 bits", _four_bits, Carry.NAMES, loss="quantised")
