"""A model as a graphsurgeon graph: opened, edited, and turned back into a model."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from modelexport.errors import SurgeryError
from modelexport.hierarchy.graph_paths import op_type, walk_graphs
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, canonical_domain
from modelexport.rewriter.surgery.located_nodes import LocatedNode, located_nodes
from modelexport.rewriter.surgery.message_writer import MessageWriter
from modelexport.rewriter.surgery.origins import Origins, Payload
from modelexport.support.error_texts import first_line


class Surgery:
    """A model as a graphsurgeon graph, of which nothing is lost when it is written back.

    Args:
        model: The model, or its skeleton. It is not changed.
        payload: For a skeleton, `OnnxContainer.payload`: weights are read only if an edit asks
            for their values. In other cases they stay references.
        label: The path of the file, for error messages.

    Attributes:
        graph: The `onnx_graphsurgeon.Graph` to edit.

    Raises:
        SurgeryError: graphsurgeon cannot read the model, or not all of it.
    """

    def __init__(
        self, model: onnx.ModelProto, *, payload: Payload | None = None, label: str = "the model"
    ) -> None:
        self._source = onnx.ModelProto()
        self._source.CopyFrom(model)
        self._origins = Origins(payload or (lambda _: None))
        with _without_messages():
            try:
                self.graph: Any = gs.import_onnx(self._source)
                functions = zip(self.graph.functions, self._source.functions, strict=True)
                for function, message in functions:
                    self._origins.register(function, message)
                self._origins.register(self.graph, self._source.graph)
            except Exception as error:  # graphsurgeon lets any exception of its parts through
                raise SurgeryError(
                    f"{label}: onnx-graphsurgeon cannot read it ({first_line(error)})."
                ) from error
        self._opset = self.graph.opset
        lost = _first_difference(self._source, self.model())
        if lost is not None:
            raise SurgeryError(f"{label}: onnx-graphsurgeon cannot represent {lost}.")

    def model(self) -> onnx.ModelProto:
        """The edited model; what no edit touched is as it was."""
        with _without_messages():
            return self._write()

    def located_nodes(self, model: onnx.ModelProto) -> Iterator[LocatedNode]:
        """The node objects of the graph with their addresses, those of subgraphs and functions too.

        Args:
            model: The model that was opened, if nothing was edited; else what `model` gave last.
        """
        return located_nodes(self.graph, model)

    def _write(self) -> onnx.ModelProto:
        writer = MessageWriter(self._origins)
        model = onnx.ModelProto()
        model.CopyFrom(self._source)
        model.graph.CopyFrom(writer.graph(self.graph))
        model.ClearField("functions")
        model.functions.extend(writer.function(function) for function in self.graph.functions)
        for field in ("producer_name", "producer_version", "ir_version"):
            if getattr(self.graph, field) != getattr(self._source, field):
                setattr(model, field, getattr(self.graph, field))
        self._write_opsets(model, writer.new_domains)
        return model

    def _write_opsets(self, model: onnx.ModelProto, domains: set[str]) -> None:
        imported = {canonical_domain(entry.domain) for entry in model.opset_import}
        for domain in sorted({canonical_domain(domain) for domain in domains} - imported):
            model.opset_import.add(domain=domain, version=self.graph.opset if not domain else 1)
        if self.graph.opset != self._opset:
            for entry in model.opset_import:
                if entry.domain in DEFAULT_DOMAINS:
                    entry.version = self.graph.opset


def _without_messages() -> AbstractContextManager[None]:
    """Keep graphsurgeon from printing to standard output.

    It warns about losses, but nothing is lost here. What it calls critical is an exception, too.
    """
    return cast(AbstractContextManager[None], G_LOGGER.suppress(G_LOGGER.CRITICAL + 1))


def _first_difference(left: onnx.ModelProto, right: onnx.ModelProto) -> str | None:
    """The first difference between two models, in words; None if they are equal."""
    if left == right:
        return None
    for left_place, right_place in zip(walk_graphs(left), walk_graphs(right), strict=False):
        nodes = zip(left_place.graph.node, right_place.graph.node, strict=False)
        for left_node, right_node in nodes:
            if left_node != right_node:
                return f"the {op_type(left_node)} node {left_node.name or list(left_node.output)}"
        if left_place.graph != right_place.graph:
            path = left_place.path
            return f"graph {path!r}" if path else "the inputs, outputs or weights"
    return "the model's own fields"
