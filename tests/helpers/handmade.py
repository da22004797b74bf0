"""Small models and records made by hand, for tests that need no tracer."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper, parser

from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import op_type, walk_nodes
from modelexport.hierarchy.module_tree import Module, Parameter
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
WIDTH = 4

TWO_LAYERS = """
agraph (float[N, 4] x) => (float[N, 4] y) {
   [first] one = Constant <value = float {1.0}> ()
   [proj0] h0 = MatMul (x, layer.0.fc.weight)
   [bias0] a0 = Add (h0, layer.0.fc.bias)
   [relu0] r0 = Relu (a0)
   [plus0] p0 = Add (r0, one)
   [proj1] h1 = MatMul (p0, layer.1.fc.weight)
   [bias1] a1 = Add (h1, layer.1.fc.bias)
   [relu1] r1 = Relu (a1)
   [plus1] p1 = Add (r1, one)
   [last] y = Identity (p1)
}
"""
TWO_LAYERS_MODULES = {
    "": "Net",
    "layer": "ModuleList",
    "layer.0": "Block",
    "layer.0.fc": "Linear",
    "layer.1": "Block",
    "layer.1.fc": "Linear",
}
TWO_LAYERS_SCOPES = (
    None,
    *("layer.0.fc", "layer.0.fc", "layer.0", "layer.0"),
    *("layer.1.fc", "layer.1.fc", "layer.1", "layer.1"),
    None,
)


def parse(text: str, weights: Mapping[str, Sequence[int]] | None = None) -> onnx.ModelProto:
    """A model from ONNX text; names with dots and weights of the given shapes are allowed."""
    plain = text
    for name in weights or {}:
        plain = plain.replace(name, name.replace(".", "__dot__"))
    model = parser.parse_model(HEADER + plain)
    for node in model.graph.node:
        node.input[:] = [name.replace("__dot__", ".") for name in node.input]
    random = np.random.default_rng(0)
    for name, shape in (weights or {}).items():
        values = random.standard_normal(tuple(shape)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


def two_layers(width: int = WIDTH, text: str = TWO_LAYERS) -> onnx.ModelProto:
    """Two layers of a linear module, a relu and an addition."""
    shapes: dict[str, Sequence[int]] = {}
    for layer in (0, 1):
        shapes[f"layer.{layer}.fc.weight"] = (width, width)
        shapes[f"layer.{layer}.fc.bias"] = (width,)
    return parse(text.replace("N, 4", f"N, {width}"), shapes)


def record_of(
    model: onnx.ModelProto, modules: Mapping[str, str], scopes: Sequence[str | None]
) -> Record:
    """The record that tracing would have written.

    Args:
        model: The plain model; weights called `path.name` belong to module `path`.
        modules: Class by path, in the order of `named_modules()`.
        scopes: The module of each node, in the order of `walk_nodes`.
    """
    nodes = list(walk_nodes(model))
    ops = [
        Op(
            key.graph,
            key.position,
            node.name,
            op_type(node),
            tuple(node.output),
            module=scope,
            scope_from=None if scope is None else "exporter",
            inputs=tuple(node.input),
        )
        for (key, node), scope in zip(nodes, scopes, strict=True)
    ]
    shapes = {w.name: tuple(w.dims) for w in model.graph.initializer if "." in w.name}
    tree = [_module(path, name, shapes, scopes) for path, name in modules.items()]
    names = {f"{m.path}.{p.name}" for m in tree for p in m.parameters}
    tensors = [Tensor(name, name if name in names else None) for name in shapes]
    shape = [d.dim_value or 2 for d in model.graph.input[0].type.tensor_type.shape.dim]
    probe = ProbeInput.from_array(model.graph.input[0].name, np.ones(shape, np.float32))
    return Record(
        source=Source("handmade", "hand", 17),
        digest=graph_digest(model),
        modules=tuple(tree),
        ops=tuple(ops),
        tensors=tuple(tensors),
        probe=Probe((probe,)),
    )


def _module(
    path: str, name: str, shapes: Mapping[str, tuple[int, ...]], scopes: Sequence[str | None]
) -> Module:
    parameters = [
        (n.rpartition(".")[2], s) for n, s in shapes.items() if n.rpartition(".")[0] == path
    ]
    python_module = "torch.nn.modules.linear" if name == "Linear" else "handmade"
    called = any(s is not None and (s == path or not path or s.startswith(path)) for s in scopes)
    container = name in {"ModuleList", "ModuleDict"}
    return Module(
        path,
        name,
        python_module,
        parameters=tuple(Parameter(n, s) for n, s in parameters),
        calls=int(called and not container),
    )


def layers(*operators: str) -> tuple[onnx.ModelProto, Record]:
    """A network of layers, with its record.

    Args:
        operators: What each layer does after its linear module. Its class is called so, too.
    """
    lines, shapes = [], dict[str, Sequence[int]]()
    modules, scopes = {"": "Net", "layer": "ModuleList"}, list[str]()
    value = "x"
    for number, operator in enumerate(operators):
        path = f"layer.{number}"
        lines += [
            f"[proj{number}] h{number} = MatMul ({value}, {path}.fc.weight)",
            f"[bias{number}] a{number} = Add (h{number}, {path}.fc.bias)",
            f"[act{number}] r{number} = {operator} (a{number})",
        ]
        value = f"r{number}"
        shapes |= {f"{path}.fc.weight": (WIDTH, WIDTH), f"{path}.fc.bias": (WIDTH,)}
        modules |= {path: f"{operator}Layer", f"{path}.fc": "Linear"}
        scopes += [f"{path}.fc", f"{path}.fc", path]
    head = f"agraph (float[N, {WIDTH}] x) => (float[N, {WIDTH}] {value})"
    model = parse(f"{head} {{\n" + "\n".join(lines) + "\n}", shapes)
    return model, record_of(model, modules, scopes)


def two_layers_record(model: onnx.ModelProto | None = None) -> Record:
    """The record of `two_layers`."""
    return record_of(model or two_layers(), TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES)


def number_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with numbers in place of its weights' names, from which modules can be read."""
    for number, weight in enumerate(model.graph.initializer):
        for node in model.graph.node:
            node.input[:] = [str(number) if i == weight.name else i for i in node.input]
        weight.name = str(number)
    return model


def with_source_lines(record: Record, file: str = "models/net.py") -> Record:
    """The record with a line of Python for each op: the first op is in line 1, and so on."""
    ops = [
        msgspec.structs.replace(op, source=f"{file}:{number}")
        for number, op in enumerate(record.ops, 1)
    ]
    return msgspec.structs.replace(record, ops=tuple(ops))
