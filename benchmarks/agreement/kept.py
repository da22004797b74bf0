"""Steps that keep the numbers: converters, optimisers, simplifiers, inliners, cuts."""

from collections.abc import Callable

import onnx
import onnx.inliner
import onnx.utils
import onnx.version_converter
import onnxruntime as ort
from onnx import defs, helper

from agreement.scrambling import reads, reorder, scramble
from agreement.steps import Carry, Conversion, Step
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, default_opset

_RUN = 4
"""Nodes that one made-up function holds."""


def _scramble(conversion: Conversion) -> None:
    conversion.save(scramble(conversion.load()))


def _reorder(conversion: Conversion) -> None:
    conversion.save(reorder(conversion.load()))


def _opset(version: int) -> Callable[[Conversion], None]:
    def apply(conversion: Conversion) -> None:
        conversion.save(onnx.version_converter.convert_version(conversion.load(), version))

    return apply


def _onnxruntime(level: str) -> Callable[[Conversion], None]:
    def apply(conversion: Conversion) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(conversion.target)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        ort.InferenceSession(str(conversion.source), options, providers=["CPUExecutionProvider"])

    return apply


def _fusions(*, generic: bool) -> Callable[[Conversion], None]:
    def apply(conversion: Conversion) -> None:
        from onnxruntime.transformers import optimizer

        family = "bert" if generic else conversion.fusions
        if family is None:
            raise ValueError("the optimizer has no type for this model but the generic one")
        if not generic and family == "bert":
            raise ValueError("the generic type is this model's own, see the other row")
        changed = optimizer.optimize_model(str(conversion.source), model_type=family)
        changed.save_model_to_file(str(conversion.target))

    return apply


def _onnxslim(conversion: Conversion) -> None:
    import onnxslim

    conversion.save(onnxslim.slim(conversion.load()))


def _onnxsim(conversion: Conversion) -> None:
    import onnxsim

    changed, _ = onnxsim.simplify(conversion.load())
    conversion.save(changed)


def _graphsurgeon(conversion: Conversion) -> None:
    import onnx_graphsurgeon as gs

    graph = gs.import_onnx(conversion.load())
    conversion.save(gs.export_onnx(graph.fold_constants().cleanup().toposort()))


def _inlined(conversion: Conversion) -> None:
    conversion.save(onnx.inliner.inline_local_functions(folded(conversion.load())))


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the main graph's nodes into functions, a few neighbours in each."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes = list(changed.graph.node)
    runs = [nodes[i : i + _RUN] for i in range(0, len(nodes), _RUN)]
    needed = {value.name for value in changed.graph.output}
    del changed.graph.node[:]
    for number, run in enumerate(runs):
        if any(a.HasField("g") or a.graphs for node in run for a in node.attribute):
            changed.graph.node.extend(run)
            continue
        inside = {name for node in run for name in node.output}
        inputs = dict.fromkeys(n for node in run for n in node.input if n and n not in inside)
        later = {n for other in runs[number + 1 :] for node in other for n in reads(node)}
        outputs = [n for node in run for n in node.output if n in later | needed and n]
        name = f"Run{number}"
        changed.functions.append(
            helper.make_function("folded", name, list(inputs), outputs, run, changed.opset_import)
        )
        changed.graph.node.append(helper.make_node(name, list(inputs), outputs, domain="folded"))
    changed.opset_import.append(helper.make_opsetid("folded", 1))
    return changed


def _expanded(conversion: Conversion) -> None:
    """Replace each operator that its opset defines as a function by that function's body."""
    model = conversion.load()
    version = default_opset(model)
    named = {node.op_type for node in model.graph.node if node.domain in DEFAULT_DOMAINS}
    schemas = {name: defs.get_schema(name, version, "") for name in named}
    bodied = [n for n, s in schemas.items() if s.has_function or s.has_context_dependent_function]
    if not bodied:
        raise ValueError("no operator of this file is a function of its opset")
    conversion.save(
        onnx.inliner.inline_selected_functions(
            onnx.shape_inference.infer_shapes(model),
            [("", name) for name in bodied],
            inline_schema_functions=True,
        )
    )


def _cut(start: float, end: float) -> Callable[[Conversion], None]:
    """Keep the nodes between two places; a `start` of 0 keeps the model's own inputs."""

    def apply(conversion: Conversion) -> None:
        graph = conversion.load().graph
        count = len(graph.node)
        initializers = {t.name for t in graph.initializer}
        inputs = {v.name for v in graph.input} - initializers
        first, last = (round(count * share) for share in (start, end))
        before, inside, after = graph.node[:first], graph.node[first:last], graph.node[last:]
        made_before = {n for node in before for n in node.output} | inputs
        read_inside = [n for node in inside for n in reads(node)]
        made_inside = [n for node in inside for n in node.output if n]
        needed = {n for node in after for n in reads(node)} | {v.name for v in graph.output}
        ins = [n for n in dict.fromkeys(read_inside) if n in made_before]
        outs = [n for n in made_inside if n in needed]
        onnx.utils.extract_model(str(conversion.source), str(conversion.target), ins, outs)

    return apply


SCRAMBLED = Step("scrambled", _scramble, Carry.POSITIONS, renames=True)
REORDERED = Step("reordered", _reorder, Carry.NAMES)
OPSET_UP = Step("opset 21", _opset(21))
OPSET_DOWN = Step("opset 16", _opset(16))
ORT_BASIC = Step("onnxruntime basic", _onnxruntime("ORT_ENABLE_BASIC"))
ORT_EXTENDED = Step("onnxruntime extended", _onnxruntime("ORT_ENABLE_EXTENDED"))
ORT_ALL = Step("onnxruntime all", _onnxruntime("ORT_ENABLE_ALL"))
ORT_FUSIONS = Step("onnxruntime.transformers", _fusions(generic=True))
ORT_OWN_FUSIONS = Step("onnxruntime.transformers, own type", _fusions(generic=False))
ONNXSLIM = Step("onnxslim", _onnxslim)
ONNXSIM = Step("onnxsim", _onnxsim)
GRAPHSURGEON = Step("graphsurgeon", _graphsurgeon)
INLINED = Step("folded and inlined", _inlined)
EXPANDED = Step("functions expanded", _expanded)
CUT_HEAD = Step("first part", _cut(0.0, 0.6), cuts=True)
CUT_MIDDLE = Step("middle part", _cut(0.3, 0.7), cuts=True)
