"""What an ONNX file holds, module by module."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from modelexport.hierarchy.graph_paths import op_type
from modelexport.rewriter.analysis.costs import Shapes
from modelexport.rewriter.analysis.selecting import Sort, selected
from modelexport.rewriter.analysis.totals import ModuleRow, Rows
from modelexport.rewriter.annotation.model_file import LoadedModel, ModelFile
from modelexport.rewriter.matching.evidence.claims import Claims

_UNTAGGED = "it carries no tag"


class Unresolved(msgspec.Struct, frozen=True):
    """A node without a known module.

    Attributes:
        graph, position: Its address, see `hierarchy.graph_paths`.
        name, op_type: As the file has them.
        reason: Why.
    """

    graph: str
    position: int
    name: str
    op_type: str
    reason: str


class Analysis(msgspec.Struct):
    """A file and its modules.

    Attributes:
        file: Base name.
        source: Which of the schemes of `rewriter.matching.evidence.carried` the tags come from.
        nodes, tagged, coverage: Counts of nodes, and the share that has a known tag.
        evidence: Tagged nodes by the evidence that settled them.
        op_types: Of all nodes, the most frequent first.
        untagged_op_types: Of the nodes without a tag.
        parameters: Elements of all parameters, aliases counted once.
        opset: Version by operator domain.
        ir_version, producer: As the file says.
        modules: The rows, a module before what is below it, in the model's order unless another
            one is asked for.
        functions: How many functions folding made; counts are of the graph without them.
        macs, unknown_macs: Multiply-accumulates of one run, and nodes of which they are unknown.
        weight_bytes: What the stored tensors take.
        activation_bytes, unknown_activations: What all computed values take together, and how
            many have an unknown size.
        unresolved: The nodes without a tag.
        notes: What the user should know beyond that.
    """

    file: str
    source: str | None
    nodes: int
    tagged: int
    coverage: float
    evidence: dict[str, int]
    op_types: dict[str, int]
    untagged_op_types: dict[str, int]
    parameters: int
    opset: dict[str, int]
    ir_version: int
    producer: str
    modules: list[ModuleRow]
    functions: int = 0
    macs: int = 0
    unknown_macs: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    unresolved: list[Unresolved] = []
    notes: list[str] = []

    def _repr_html_(self) -> str:
        """How a notebook shows it: the tree, to be opened module by module."""
        from modelexport.rewriter.analysis.html import analysis_html  # noqa: PLC0415 - only notebooks ask

        return analysis_html(self)


def analyze(
    path: str | Path,
    *,
    module: str | None = None,
    depth: int | None = None,
    op_types: Collection[str] = (),
    sort: Sort = "model",
    dims: Mapping[str, int] | None = None,
) -> Analysis:
    """Count nodes, operators, parameters, multiplications and bytes by module.

    Works on annotated files; on others as far as they carry a hierarchy of another kind.

    Args:
        path: The file.
        module: Path or tag of a module, to see it and what is below it alone.
        depth: How many steps below that (or below the root) modules are shown.
        op_types: Operators to count; all when there are none.
        sort: Order of the modules: `model`, `name`, `nodes`, `params`, `macs` or `bytes`.
        dims: Extents for dimensions that the file leaves open, by their names.

    Examples:
        >>> from modelexport.rewriter import analyze
        >>> found = analyze("net.annotated.onnx", module="layer.1", dims={"N": 2})
        >>> for row in found.modules:
        ...     print(row.tag, row.nodes, row.parameters, row.macs)
        /Net/layer.1 4 20 32
        /Net/layer.1/fc 2 20 32

    Raises:
        FileProblem: The file cannot be read.
        UsageError: There is no such module or dimension.
    """
    path = Path(path)
    with ModelFile.open(path) as file:
        found = analyze_model(file, op_types, dims)
    found.modules = selected(found.modules, module, depth, sort, str(path))
    return found


def analyze_model(
    file: LoadedModel,
    op_types: Collection[str] = (),
    dims: Mapping[str, int] | None = None,
) -> Analysis:
    """Like `analyze`, of a model in memory (its weights may be left out)."""
    model, graph, carried = file.model, file.graph, file.carried
    claims = carried.claims if carried is not None else Claims()
    shapes = Shapes(model, dims)
    rows = Rows(model, graph, carried, shapes, op_types)
    counted = [op_type(node) for node in graph.nodes]
    if op_types:
        counted = [kind for kind in counted if kind in op_types]
    unresolved = [
        Unresolved(
            key.graph, key.position, node.name, op_type(node), claims.reasons.get(key, _UNTAGGED)
        )
        for key, node in zip(graph.keys, graph.nodes, strict=True)
        if key not in claims.by_node
    ]
    tagged, total = len(claims.by_node), rows.total
    return Analysis(
        file=Path(file.label).name,
        source=carried.scheme if carried is not None else None,
        nodes=len(graph),
        tagged=tagged,
        coverage=tagged / len(graph) if len(graph) else 1.0,
        evidence=dict(Counter(str(claim.kind) for claim in claims.by_node.values())),
        op_types=dict(Counter(counted).most_common()),
        untagged_op_types=dict(Counter(each.op_type for each in unresolved).most_common()),
        parameters=rows.parameters,
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        ir_version=model.ir_version,
        producer=" ".join(filter(None, [model.producer_name, model.producer_version])),
        modules=rows.rows(),
        functions=len(file.functions),
        macs=total.macs,
        unknown_macs=total.unknown_macs,
        weight_bytes=rows.weight_bytes,
        activation_bytes=total.activation_bytes,
        unknown_activations=total.unknown_activations,
        unresolved=unresolved,
        notes=[] if shapes.note is None else [shapes.note],
    )
