"""Random models with everything that ONNX lets a model hold, for property tests."""

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

WORDS = st.text("abcü/.:_0", min_size=1, max_size=6)
DOMAINS = ["", "local", "com.example"]


class ModelDrawer:
    """Draws one model; every value has a name of its own, so that captures are never shadowed."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"{self.draw(WORDS)}{self.count}"

    def happens(self, chance: float = 0.5) -> bool:
        """Whether something happens that happens with a probability (0-1)."""
        return self.draw(st.floats(0, 1)) < chance

    def metadata(self, message: ModelProto | GraphProto | NodeProto | TensorProto) -> None:
        if self.happens(0.3):
            message.metadata_props.add(key=self.draw(WORDS), value=self.draw(WORDS))
        if self.happens(0.3):
            message.doc_string = self.draw(WORDS)

    def tensor(self, name: str) -> TensorProto:
        kind = self.draw(st.sampled_from(["f4", "i8", "f2", "?", "u1"]))
        shape = self.draw(st.lists(st.integers(0, 3), max_size=2))
        tensor = numpy_helper.from_array(np.ones(shape, kind), name)
        self.metadata(tensor)
        if tensor.raw_data and self.happens(0.2):
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights.bin")
        return tensor

    def sparse(self, name: str) -> onnx.SparseTensorProto:
        values = helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])
        return helper.make_sparse_tensor(values, helper.make_tensor("", 7, [1], [1]), [3])

    def value_info(self, name: str) -> onnx.ValueInfoProto:
        shape = self.draw(st.lists(st.sampled_from([1, "N", None]), max_size=2))
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        kind = self.draw(st.integers(0, 4))
        if kind == 0:
            value = helper.make_tensor_sequence_value_info(name, TensorProto.INT64, shape)
        elif kind == 1:
            optional = helper.make_optional_type_proto(value.type)
            value = helper.make_value_info(name, optional)
        self.metadata(value)
        return value

    def attributes(self, node: NodeProto, visible: list[str], levels: int) -> None:
        kind = self.draw(st.integers(0, 9))
        plain = [1, 1.5, "s", [1, 2], [1.5], ["a", "b"], self.tensor("t"), self.sparse("s")]
        if kind < len(plain):
            node.attribute.append(helper.make_attribute("a", plain[kind], self.draw(WORDS)))
        elif kind == 8:
            typed = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
            node.attribute.append(helper.make_attribute("t", typed))
        if levels and self.happens(0.3):
            subgraph = self.graph(visible, levels - 1)
            node.attribute.append(
                AttributeProto(name="body", type=AttributeProto.GRAPH, g=subgraph)
            )

    def nodes(self, visible: list[str], levels: int) -> list[NodeProto]:
        visible = list(visible)
        nodes = []
        for _ in range(self.draw(st.integers(0, 4))):
            inputs = [self.draw(st.sampled_from([*visible, ""])) for _ in range(2)]
            outputs = [self.name(), *([""] if self.happens(0.2) else [])]
            node = NodeProto(op_type="Op", input=inputs, output=outputs)
            if self.happens(0.7):
                node.name = self.name()
            domain = self.draw(st.sampled_from(DOMAINS))
            if domain or self.happens(0.2):
                node.domain = domain
            if domain == "local":
                node.op_type, node.overload = "f", self.draw(st.sampled_from(["", "o"]))
            self.metadata(node)
            self.attributes(node, visible, levels)
            visible += [output for output in outputs if output]
            nodes.append(node)
        return nodes

    def graph(self, outer: list[str], levels: int) -> GraphProto:
        graph = GraphProto(name=self.name())
        own = [self.name() for _ in range(self.draw(st.integers(1, 3)))]
        graph.input.extend(self.value_info(name) for name in own)
        for _ in range(self.draw(st.integers(0, 3))):
            graph.initializer.append(self.tensor(self.name()))
        if self.happens(0.3):
            graph.sparse_initializer.append(self.sparse(self.name()))
        weights = [weight.name for weight in graph.initializer]
        if weights and self.happens(0.2):
            graph.input.insert(0, self.value_info(weights[0]))
        weights += [weight.values.name for weight in graph.sparse_initializer]
        graph.node.extend(self.nodes([*outer, *own, *weights], levels))
        values = [name for node in graph.node for name in node.output if name]
        graph.output.extend(self.value_info(name) for name in values[-1:])
        graph.value_info.extend(self.value_info(n) for n in [*values[:2], *weights[:1]])
        if values and weights:
            scale = onnx.StringStringEntryProto(key="SCALE_TENSOR", value=weights[0])
            graph.quantization_annotation.add(
                tensor_name=values[0], quant_parameter_tensor_names=[scale]
            )
        self.metadata(graph)
        return graph

    def function(self, overload: str) -> onnx.FunctionProto:
        names = [self.name()]
        nodes = self.nodes(names, 1)
        outputs = [name for node in nodes for name in node.output if name][-1:]
        function = helper.make_function(
            "local", "f", names, outputs, nodes, [helper.make_opsetid("", 18)], ["alpha"]
        )
        function.overload = overload
        self.metadata(function)
        function.value_info.extend(self.value_info(name) for name in outputs)
        return function

    def model(self) -> ModelProto:
        model = helper.make_model(self.graph([], 2), producer_name=self.draw(WORDS))
        model.domain, model.model_version = self.draw(WORDS), self.draw(st.integers(0, 9))
        model.functions.extend(self.function(o) for o in ["", "o"] if self.happens())
        model.opset_import.add(domain="local", version=1)
        self.metadata(model)
        return model


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    """A model with nested subgraphs, functions, sparse and external weights, and all metadata."""
    return ModelDrawer(draw).model()
