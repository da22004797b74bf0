"""The forms in which people deploy a model: fp32, fp16, int8 dynamic and int8 static."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from fixtures_gen.onnx_values import Array

Feeds = Mapping[str, Array]


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """The model's own inputs, once."""

    def __init__(self, feeds: Feeds) -> None:
        self._left: Iterator[dict[str, Any]] = iter([dict(feeds)])

    def get_next(self) -> dict[str, Any] | None:
        """The next inputs, None at the end."""
        return next(self._left, None)


def _fp32(source: Path, target: Path, _: Feeds) -> None:
    target.write_bytes(source.read_bytes())


def _fp16(source: Path, target: Path, _: Feeds) -> None:
    from onnxruntime.transformers import float16

    onnx.save(float16.convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def _dynamic(source: Path, target: Path, _: Feeds) -> None:
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


def _static(source: Path, target: Path, feeds: Feeds) -> None:
    quantize_static(str(source), str(target), _Feeds(feeds), quant_format=QuantFormat.QDQ)


FORMS: dict[str, Callable[[Path, Path, Feeds], None]] = {
    "fp32": _fp32,
    "fp16": _fp16,
    "int8 dynamic": _dynamic,
    "int8 static": _static,
}
"""Each writes a file in its form: source, target, inputs for calibration."""
