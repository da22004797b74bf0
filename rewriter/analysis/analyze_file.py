"""Analyzing an ONNX file: what it holds, module by module, and what that costs."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import onnx

from modelexport.hierarchy.choices import ModuleOrder
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.analysis.costs import Shapes
from modelexport.rewriter.analysis.count_file import FileCounter
from modelexport.rewriter.analysis.module_rows import module_rows
from modelexport.rewriter.analysis.results import Analysis, ModuleRow, UnresolvedNode
from modelexport.rewriter.analysis.select_modules import select_modules
from modelexport.rewriter.analysis.totals import most_frequent_first
from modelexport.rewriter.annotation.model_file import LoadedModel, ModelFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.graph.texts import require_text
from modelexport.rewriter.matching import CarriedHierarchy, Claims
from modelexport.support.error_texts import listed
from modelexport.support.gc_pause import gc_paused

_NO_TAG = "it carries no tag"


@gc_paused()
def analyze(
    path: str | Path,
    *,
    module: str | None = None,
    depth: int | None = None,
    op_types: Collection[str] = (),
    sort: str = ModuleOrder.MODEL,
    dims: Mapping[str, int] | None = None,
) -> Analysis:
    """Count nodes, operators, parameters, multiply-accumulates and bytes by module.

    Works on annotated files, and on others as far as they carry a hierarchy of another kind.

    Args:
        path: The file.
        module: Path or tag of a module; only it and the modules below it are listed.
        depth: How many steps below that module (or below the root) modules are listed.
        op_types: Operators whose nodes are counted; all when there are none.
        sort: Order of the modules: `model`, `name`, `nodes`, `params`, `macs` or `bytes`.
        dims: Sizes of dimensions that the file leaves open, by their names.

    Examples:
        >>> from modelexport.rewriter import analyze
        >>> analysis = analyze("net.annotated.onnx", module="layer.1", dims={"N": 2})
        >>> for row in analysis.modules:
        ...     print(row.tag, row.nodes, row.parameters, row.macs)
        /Net/layer.1 4 20 32
        /Net/layer.1/fc 2 20 32

    Raises:
        FileProblem: The file cannot be read.
        UsageError: There is no such module, order or dimension.
    """
    with ModelFile.open(path) as file:
        analysis = analyze_model(file, op_types, dims)
    rows = select_modules(analysis.modules, module, depth, sort, str(path))
    return msgspec.structs.replace(analysis, modules=rows)


def analyze_model(
    file: LoadedModel,
    op_types: Collection[str] = (),
    dims: Mapping[str, int] | None = None,
    hierarchy: CarriedHierarchy | None = None,
) -> Analysis:
    """Like `analyze`, of a model in memory.

    Args:
        file: The model; its weights may be left out.
        op_types: Operators whose nodes are counted; all when there are none.
        dims: Sizes of dimensions that the file leaves open, by their names.
        hierarchy: Its modules, and the module of each node; by default what it carries.
    """
    model, graph, carried = file.model, file.graph, hierarchy or file.carried
    claims = carried.claims if carried is not None else Claims()
    shapes = Shapes(model, dims, graph.graphs)
    counter = FileCounter(model, graph, carried, shapes, op_types)
    rows = []
    if counter.tagger is not None:
        rows = module_rows(
            counter.own_totals, counter.parameters, counter.tagger, with_nodes=bool(op_types)
        )
        rows = _with_source_lines(rows, carried, counter.tagger)
    unresolved = _unresolved_nodes(graph, claims)
    tagged, totals = len(claims.by_node), counter.file_totals
    return Analysis(
        file=Path(file.label).name,
        source=carried.scheme if carried is not None else None,
        nodes=len(graph),
        tagged=tagged,
        coverage=tagged / len(graph) if len(graph) else 1.0,
        evidence=_evidence(claims),
        op_types=most_frequent_first(totals.op_types),
        untagged_op_types=dict(Counter(node.op_type for node in unresolved).most_common()),
        parameters=totals.parameters,
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        ir_version=model.ir_version,
        producer=" ".join(filter(None, [model.producer_name, model.producer_version])),
        modules=rows,
        functions=len(file.functions),
        macs=totals.macs,
        unknown_macs=totals.unknown_macs,
        weight_bytes=totals.weight_bytes,
        activation_bytes=totals.activation_bytes,
        unknown_activations=totals.unknown_activations,
        unresolved=unresolved,
        notes=[
            *([] if carried is None else carried.notes),
            *filter(None, [shapes.note]),
            *_about_open_dimensions(model, dims or {}, totals.unknown_macs),
        ],
    )


def _about_open_dimensions(
    model: onnx.ModelProto, dims: Mapping[str, int], unknown: int
) -> Iterator[str]:
    """A note on how to get figures that are unknown because the file leaves dimensions open.

    Args:
        model: The model.
        dims: The sizes that the user gave.
        unknown: Number of nodes with unknown multiply-accumulates.
    """
    names = {
        dim.dim_param
        for value in model.graph.input
        for dim in value.type.tensor_type.shape.dim
        if dim.dim_param and dim.dim_param not in dims
    }
    if unknown and names:
        first, *_ = ordered = sorted(names)
        yield (
            f"the multiply-accumulates of {unknown} nodes depend on the open dimensions "
            f"{listed(ordered)}; --dim {first}=8 gives a size"
        )


def _with_source_lines(
    rows: Sequence[ModuleRow], carried: CarriedHierarchy | None, tagger: Tagger
) -> list[ModuleRow]:
    """The rows, with the lines of Python behind the nodes of each module itself."""
    if carried is None or not carried.source_lines:
        return list(rows)
    lines: dict[str, dict[str, None]] = {}
    for key, claim in carried.claims.by_node.items():
        of_module = lines.setdefault(tagger.tag(claim.module), {})
        of_module.update(dict.fromkeys(carried.source_lines.get(key, ())))
    return [
        msgspec.structs.replace(row, source_lines=tuple(lines[row.tag]))
        if row.tag in lines
        else row
        for row in rows
    ]


def _evidence(claims: Claims) -> dict[str, int]:
    """Number of nodes by the kind of evidence that gave them their module."""
    counts = Counter(claim.kind for claim in claims.by_node.values())
    return {str(kind): count for kind, count in counts.items()}


def _unresolved_nodes(graph: ModelGraph, claims: Claims) -> list[UnresolvedNode]:
    """The nodes without a module, each with the reason."""
    nodes = []
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        if key not in claims.by_node:
            operator, reason = op_type(node), claims.reasons.get(key, _NO_TAG)
            require_text(key.graph, node.name, operator)
            nodes.append(UnresolvedNode(key.graph, key.position, node.name, operator, reason))
    return nodes
