"""Checking parts: on the values of the whole file they must compute the same bits.

The whole and the parts run without optimisations, and round every value that crosses the border
of a part to its own type (`rounded_values`): both compute the same then.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import OnnxContainer, SessionSource, session_source
from modelexport.rewriter.execution.feeds import Feeds, graph_inputs
from modelexport.rewriter.execution.generated_feeds import generate_feeds
from modelexport.rewriter.execution.outputs import same_bits
from modelexport.rewriter.execution.session import Session
from modelexport.rewriter.extraction.rounded_values import expose_rounded
from modelexport.rewriter.extraction.value_types import ValueInfos

_HALF_PRECISION = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}

Expose = Callable[[onnx.GraphProto, Iterable[str], ValueInfos], None]
"""Makes values outputs of a graph."""


@dataclass(frozen=True)
class RunnablePart:
    """A part that can be run.

    Attributes:
        path: The file that errors name: its own, or that of the whole.
        model: Its model; large weights are left out.
        source: Turns a changed copy of the model into what onnxruntime loads.
    """

    path: Path
    model: onnx.ModelProto
    source: Callable[[onnx.ModelProto], SessionSource]


@contextmanager
def written_part(whole: PlacedFile, path: Path, folder: Path) -> Iterator[RunnablePart]:
    """A part that was written, and that will be moved into its folder.

    Args:
        whole: The file that it is a part of.
        path: Its file.
        folder: The folder where it will be. That of the whole has the part's external data already.

    Raises:
        OnnxFileError: It is no ONNX model, or its external data cannot be read.
    """
    is_beside = folder.exists() and folder.samefile(whole.path.parent)
    with OnnxContainer.open(path, folder if is_beside else None) as container:
        source = partial(session_source, container)
        yield RunnablePart(folder / path.name, container.skeleton(), source)


class PartCheck:
    """Compares parts with the whole file on generated inputs.

    Args:
        file: The whole file.
        names: The values that enter and leave the parts.
        types: Their value infos.

    Attributes:
        values: These values, when the whole file runs without optimisations.

    Raises:
        RuntimeFailedError: The whole file does not run.
    """

    def __init__(self, file: PlacedFile, names: Iterable[str], types: ValueInfos) -> None:
        self._types, self._libraries = types, file.libraries
        self._whole = RunnablePart(file.path, file.model, partial(session_source, file.container))
        returned = [value.name for value in file.model.graph.output]
        inputs = {value.name for value in graph_inputs(file.model.graph)}
        computed = [name for name in dict.fromkeys(names) if name not in inputs]
        session = self._session(self._whole, list(dict.fromkeys([*computed, *returned])))
        self._feeds = generate_feeds(session, distinctive=True, outputs=returned)
        values = zip(computed, session.fetch(computed, self._feeds), strict=True)
        self.values: Feeds = {**self._feeds, **dict(values)}

    def different(self, part: RunnablePart, inputs: list[str], outputs: list[str]) -> list[str]:
        """The outputs of a part that differ from those of the whole file in any bit.

        Args:
            part: The part.
            inputs: Names of its inputs.
            outputs: Names of its outputs.

        Raises:
            RuntimeFailedError: The part does not run.
        """
        results = self._run(part, outputs, {name: self.values[name] for name in inputs})
        return [name for name in outputs if not same_bits(results[name], self.values[name])]

    def rounding_note(self, names: list[str]) -> str | None:
        """How far values are off when the whole file runs in one piece; None where they are equal.

        Args:
            names: Values that the whole file computes.
        """
        if not any(_element_type(value) in _HALF_PRECISION for value in self._types.values()):
            return None
        exact = self._run(self._whole, names, self._feeds, expose=_expose_as_they_are)
        distances = {name: _distance(exact[name], self.values[name]) for name in names}
        worst = max(distances, key=lambda name: distances[name], default="")
        if not worst or not distances[worst]:
            return None
        return (
            "most operators have no float16 kernel on a CPU. onnxruntime computes them in float32 "
            "and rounds where a file ends; for the check, the whole rounds there, too. In one "
            f"piece, its {worst!r} differs by up to {distances[worst]:.2g}."
        )

    def _run(
        self,
        part: RunnablePart,
        names: list[str],
        feeds: Feeds,
        expose: Expose = expose_rounded,
    ) -> Feeds:
        """Values of a file or part, without optimisations."""
        return self._session(part, names, expose).run(feeds)

    def _session(
        self, part: RunnablePart, names: list[str], expose: Expose = expose_rounded
    ) -> Session:
        """A file or part without optimisations, whose outputs are some of its values."""
        model = onnx.ModelProto()
        model.CopyFrom(part.model)
        del model.graph.output[:]
        expose(model.graph, names, self._types)
        source = part.source(model)
        return Session(part.path, source=source, plain=True, libraries=self._libraries)


def _expose_as_they_are(graph: onnx.GraphProto, names: Iterable[str], _: ValueInfos) -> None:
    expose_values(graph, names)


def _element_type(value: onnx.ValueInfoProto) -> int:
    return value.type.tensor_type.elem_type


def _distance(left: object, right: object) -> float:
    """The largest difference of two arrays of numbers; 0 for what is no number."""
    if not (isinstance(left, np.ndarray) and isinstance(right, np.ndarray)):
        return 0.0
    if left.dtype.kind not in "fiuV" or not left.size:
        return 0.0
    with np.errstate(invalid="ignore"):  # infinities
        distances = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.nan_to_num(distances, nan=0.0, posinf=np.inf).max())
