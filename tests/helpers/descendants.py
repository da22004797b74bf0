"""Files that tools made of traced ones, with their truth; shared by tests of matching."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime as ort
import onnxslim

from agreement.scrambling import scramble
from fixtures_gen.eager import Eager, run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import Truth, feeds, settle
from fixtures_gen.zoo import FIXTURES
from modelexport.tracer import TraceResult, trace


def _saved(source: Path, target: Path) -> None:
    onnx.save(onnx.load(source), target)


def _slimmed(source: Path, target: Path) -> None:
    onnx.save(onnxslim.slim(onnx.load(source)), target)


def _optimised(level: ort.GraphOptimizationLevel) -> Callable[[Path, Path], None]:
    def apply(source: Path, target: Path) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return apply


TOOLS: dict[str, Callable[[Path, Path], None]] = {
    "renamed": _saved,
    "onnxruntime-basic": _optimised(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
    "onnxruntime-extended": _optimised(ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
    "onnxslim": _slimmed,
}
"""What is done to a file before all its names are scrambled."""


class Traced:
    """One fixture, traced, with what its eager run computes."""

    def __init__(self, name: str, exporter: str, folder: Path) -> None:
        self.folder = folder
        self.model, self.inputs = FIXTURES[name].build()
        self.result: TraceResult = trace(
            self.model, self.inputs, folder / "m.onnx", exporter=exporter
        )
        self._eager: Eager | None = None

    def made(self, tool: str) -> tuple[Path, Truth]:
        """The file that a tool makes of the traced one, all names scrambled, and its truth."""
        if self._eager is None:
            self._eager = run_eagerly(self.model, self.inputs)
        plain, path = onnx.load(self.result.onnx_path), self.folder / f"{tool}.onnx"
        TOOLS[tool](self.result.onnx_path, path)
        known = onnx.load(path)
        onnx.save(scramble(known), path)
        given = feeds(self.model, self.inputs, plain.graph)
        renamed = onnx.load(path).graph.input
        fed = {v.name: given[k.name] for v, k in zip(renamed, known.graph.input, strict=True)}
        return path, settle(observe(path, fed), self._eager)
