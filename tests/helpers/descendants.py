"""Files that tools made of traced ones, with their truth; shared by tests of matching."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime as ort
import onnxslim

from agreement.scrambling import scramble
from fixtures_gen.eager import Eager, run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import Truth, derive_truth, feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.tracer import TraceResult


def _saved(source: Path, target: Path) -> None:
    onnx.save(onnx.load(source), target)


def _slimmed(source: Path, target: Path) -> None:
    onnx.save(onnxslim.slim(onnx.load(source)), target)


def optimised(level: ort.GraphOptimizationLevel) -> Callable[[Path, Path], None]:
    """What saves a file as onnxruntime optimises it at a level."""

    def apply(source: Path, target: Path) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 4
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return apply


TOOLS: dict[str, Callable[[Path, Path], None]] = {
    "renamed": _saved,
    "onnxruntime-basic": optimised(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
    "onnxruntime-extended": optimised(ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
    "onnxslim": _slimmed,
}
"""What is done to a file before all its names are scrambled."""


class ZooModel:
    """A model of the zoo, traced, and the files that tools make of its ONNX file.

    Attributes:
        folder: Where the files go.
        model: The module.
        inputs: What it is called with.
        traced: Its plain file and its record.
    """

    def __init__(self, name: str, traced: TraceResult, folder: Path) -> None:
        self.folder = folder
        self.model, self.inputs = FIXTURES[name].build()
        self.traced = traced
        self._eager: Eager | None = None

    def rewritten(self, tool: str) -> tuple[Path, Truth]:
        """The file that a tool makes of the traced one, all names scrambled, and its truth."""
        if self._eager is None:
            self._eager = run_eagerly(self.model, self.inputs)
        plain, path = onnx.load(self.traced.onnx_path), self.folder / f"{tool}.onnx"
        TOOLS[tool](self.traced.onnx_path, path)
        named = onnx.load(path)
        onnx.save(scramble(named), path)
        values = feeds(self.model, self.inputs, plain.graph)
        inputs = zip(onnx.load(path).graph.input, named.graph.input, strict=True)
        renamed = {new.name: values[old.name] for new, old in inputs}
        return path, derive_truth(observe(path, renamed), self._eager)
