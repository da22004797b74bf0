"""onnxruntime's int8 quantisers, as functions that leave some nodes out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

QDQ_ONLY = sorted(QDQRegistry)
"""The operators that have a form of their own with QuantizeLinear and DequantizeLinear."""

BY_DEFAULT = sorted({*QDQRegistry, *QLinearOpsRegistry})
"""The operators that `quantize_static` quantises by default."""

Quantise = Callable[[list[str]], onnx.ModelProto]
"""Quantises a file, without the nodes of these names."""


def static_quantiser(
    plain: Path, feeds: dict[str, np.ndarray], folder: Path, operators: list[str]
) -> Quantise:
    """The static quantiser of onnxruntime, which calibrates once for all files that it makes."""
    calibrator = create_calibrator(str(plain), operators, str(folder / "calibrated.onnx"))
    calibrator.collect_data(_OnceReader(feeds))
    ranges = calibrator.compute_data()

    def quantise(excluded: list[str]) -> onnx.ModelProto:
        quantiser = QDQQuantizer(
            onnx.load(plain), False, False, QuantType.QInt8, QuantType.QUInt8, ranges,
            [], excluded, operators, {"MinimumRealRange": 1e-6},
        )  # fmt: skip
        quantiser.quantize_model()
        return quantiser.model.model

    return quantise


def dynamic_quantiser(plain: Path, folder: Path) -> Quantise:
    """The dynamic quantiser of onnxruntime."""

    def quantise(excluded: list[str]) -> onnx.ModelProto:
        quantize_dynamic(plain, folder / "dynamic.onnx", nodes_to_exclude=excluded)
        return onnx.load(folder / "dynamic.onnx")

    return quantise


class _OnceReader(CalibrationDataReader):
    """Gives the inputs once."""

    def __init__(self, feeds: dict[str, np.ndarray]) -> None:
        self._left = [feeds]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None
