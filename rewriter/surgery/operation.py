"""One operation: a model opened, edited as a graphsurgeon graph, and closed again."""

from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from modelexport.errors import SurgeryError
from modelexport.hierarchy.graph_paths import op_type, walk_graphs
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, canonical_domain
from modelexport.rewriter.surgery.remembered import Memory, Payload
from modelexport.rewriter.surgery.restoring import Restoring


class Surgery:
    """A model as a graphsurgeon graph, which loses nothing when it is written back.

    Args:
        model: The model, or its skeleton; it stays as it is.
        payload: For a skeleton, `OnnxContainer.payload`: weights are read only when an edit
            asks for their values, and stay references otherwise.
        where: The file, for messages.

    Attributes:
        graph: The `onnx_graphsurgeon.Graph` to edit.

    Raises:
        SurgeryError: graphsurgeon cannot read the model, or not all of it.
    """

    def __init__(
        self, model: onnx.ModelProto, *, payload: Payload | None = None, where: str = "the model"
    ) -> None:
        self._origin = onnx.ModelProto()
        self._origin.CopyFrom(model)
        self._memory = Memory(payload or (lambda _: None))
        with _quiet():
            try:
                self.graph: Any = gs.import_onnx(self._origin)
                self._functions = list(self.graph.functions)
                for function, message in zip(self._functions, self._origin.functions, strict=True):
                    self._memory.learn(function, message)
                self._memory.learn(self.graph, self._origin.graph)
            except Exception as error:  # graphsurgeon raises whatever its parts raise
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                raise SurgeryError(
                    f"{where}: onnx-graphsurgeon cannot read it ({reason})."
                ) from error
        self._opset = self.graph.opset
        lost = _difference(self._origin, self.model())
        if lost is not None:
            raise SurgeryError(f"{where}: onnx-graphsurgeon cannot represent {lost}.")

    def model(self) -> onnx.ModelProto:
        """The edited model; what no edit touched is what it was."""
        with _quiet():
            return self._write()

    def _write(self) -> onnx.ModelProto:
        writing = Restoring(self._memory)
        made = onnx.ModelProto()
        made.CopyFrom(self._origin)
        made.graph.CopyFrom(writing.graph(self.graph))
        made.ClearField("functions")
        made.functions.extend(writing.function(function) for function in self.graph.functions)
        for field in ("producer_name", "producer_version", "ir_version"):
            if getattr(self.graph, field) != getattr(self._origin, field):
                setattr(made, field, getattr(self.graph, field))
        self._opsets(made, writing.domains)
        return made

    def _opsets(self, made: onnx.ModelProto, domains: set[str]) -> None:
        imported = {canonical_domain(entry.domain) for entry in made.opset_import}
        for domain in sorted({canonical_domain(domain) for domain in domains} - imported):
            made.opset_import.add(domain=domain, version=self.graph.opset if not domain else 1)
        if self.graph.opset != self._opset:
            for entry in made.opset_import:
                if entry.domain in DEFAULT_DOMAINS:
                    entry.version = self.graph.opset


def _quiet() -> Any:
    """Keep graphsurgeon from printing warnings about what is restored here."""
    return G_LOGGER.suppress()


def _difference(left: onnx.ModelProto, right: onnx.ModelProto) -> str | None:
    """What of a model another lacks, in words; None when they are equal."""
    if left == right:
        return None
    for here, there in zip(walk_graphs(left), walk_graphs(right), strict=False):
        for one, other in zip(here.graph.node, there.graph.node, strict=False):
            if one != other:
                return f"the {op_type(one)} node {one.name or list(one.output)}"
        if here.graph != there.graph:
            return f"graph {here.path!r}" if here.path else "the inputs, outputs or weights"
    return "the model's own fields"
