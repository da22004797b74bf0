"""What an ONNX file holds, module by module."""

import math
from collections import Counter
from pathlib import Path

import msgspec
import onnx

from hierarchy.graphs import op_type
from hierarchy.module_tree import Module, ModuleTree
from hierarchy.tags import Tagger
from rewriter.container import OnnxContainer
from rewriter.evidence import carried as own
from rewriter.evidence.carried import Carried
from rewriter.evidence.claims import Claims
from rewriter.flow import Flow
from rewriter.folding.unfolding import folded_functions, unfolded
from rewriter.ownership import initializers


class ModuleRow(msgspec.Struct):
    """One module of a file; modules that share a tag share a row.

    Attributes:
        tag: Its tag.
        path: Its module path.
        class_name: Its class, "" when the file does not say.
        depth: Steps below the root.
        own_nodes, nodes: Nodes tagged with it; and with it or what is below it.
        op_types: Of `nodes`, the most frequent first.
        own_parameters, parameters: Elements of its own parameters; and those below too.
        share: Of the model's parameters, 0 to 1.
    """

    tag: str
    path: str
    class_name: str
    depth: int
    own_nodes: int
    nodes: int
    op_types: dict[str, int]
    own_parameters: int
    parameters: int
    share: float


class Analysis(msgspec.Struct):
    """A file and its modules.

    Attributes:
        file: Base name.
        source: Which of the schemes of `rewriter.evidence.carried` the tags come from.
        nodes, tagged, coverage: Counts of nodes, and the share that has a known tag.
        evidence: Tagged nodes by the evidence that settled them.
        op_types: Of all nodes, the most frequent first.
        untagged_op_types: Of the nodes without a tag.
        parameters: Elements of all parameters, aliases counted once.
        opset: Version by operator domain.
        ir_version, producer: As the file says.
        functions: How many functions folding made; counts are of the graph without them.
        modules: The rows, a module before what is below it, in the model's order.
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


def analyze(path: str | Path) -> Analysis:
    """Count nodes, operators and parameters by module.

    Works on annotated files; on others as far as they carry a hierarchy of another kind.

    Raises:
        FileProblem: The file cannot be read.
    """
    path = Path(path)
    with OnnxContainer.open(path) as container:
        return analyze_model(container.skeleton(), str(path))


def analyze_model(model: onnx.ModelProto, where: str) -> Analysis:
    """Like `analyze`, of a model in memory (its weights may be left out)."""
    functions = len(folded_functions(model))
    model = unfolded(model, where)
    flow = Flow(model)
    carried = own.read(model, flow, where)
    claims = carried.claims if carried is not None else Claims()
    all_ops = Counter(op_type(node) for node in flow.nodes)
    pairs = zip(flow.keys, flow.nodes, strict=True)
    untagged = Counter(op_type(n) for k, n in pairs if k not in claims.by_node)
    rows = _Rows(model, flow, carried).rows() if carried is not None else []
    tagged = len(claims.by_node)
    return Analysis(
        file=Path(where).name,
        source=carried.scheme if carried is not None else None,
        nodes=len(flow),
        tagged=tagged,
        coverage=tagged / len(flow) if len(flow) else 1.0,
        evidence=dict(Counter(str(claim.kind) for claim in claims.by_node.values())),
        op_types=dict(all_ops.most_common()),
        untagged_op_types=dict(untagged.most_common()),
        parameters=rows[0].parameters
        if rows
        else sum(map(math.prod, initializers(model).values())),
        opset={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        ir_version=model.ir_version,
        producer=" ".join(filter(None, [model.producer_name, model.producer_version])),
        modules=rows,
        functions=functions,
    )


class _Rows:
    """Adds up nodes and parameters along the tree of tags."""

    def __init__(self, model: onnx.ModelProto, flow: Flow, carried: Carried) -> None:
        self._tree = ModuleTree(carried.modules)
        self._tagger = Tagger(self._tree, carried.rules)
        self._first: dict[str, Module] = {}
        self._parameters: Counter[str] = Counter()
        for module in self._tree:
            if module.alias_of is None:
                tag = self._tagger.tag(module.path)
                self._first.setdefault(tag, module)
                self._parameters[tag] += sum(p.size for p in module.parameters)
        if not self._parameters.total():
            self._count_initializers(model)
        self._ops: dict[str, Counter[str]] = {}
        numbers = {key: n for n, key in enumerate(flow.keys)}
        for key, claim in carried.claims.by_node.items():
            tag = self._tagger.tag(claim.module)
            kind = op_type(flow.nodes[numbers[key]])
            self._ops.setdefault(tag, Counter())[kind] += 1

    def rows(self) -> list[ModuleRow]:
        """The rows that hold something, in the order of the modules."""
        root = self._tagger.tag("")
        ops: dict[str, Counter[str]] = {tag: Counter() for tag in self._first}
        parameters: Counter[str] = Counter()
        for tag in self._first:
            for above in _upwards(tag, root):
                ops.setdefault(above, Counter()).update(self._ops.get(tag, {}))
                parameters[above] += self._parameters[tag]
        total = parameters[root]
        return [
            self._row(tag, root, ops[tag], parameters[tag], total)
            for tag in _parents_first(self._first, root)
            if tag == root or ops[tag] or parameters[tag]
        ]

    def _row(
        self, tag: str, root: str, ops: Counter[str], parameters: int, total: int
    ) -> ModuleRow:
        module = self._first[tag]
        return ModuleRow(
            tag=tag,
            path=module.path,
            class_name=module.class_name,
            depth=len(list(_upwards(tag, root))) - 1,
            own_nodes=self._ops.get(tag, Counter()).total(),
            nodes=ops.total(),
            op_types=dict(ops.most_common()),
            own_parameters=self._parameters[tag],
            parameters=parameters,
            share=parameters / total if total else 0.0,
        )

    def _count_initializers(self, model: onnx.ModelProto) -> None:
        """Without recorded parameters: initializers belong to the module that they are named by."""
        for name, shape in initializers(model).items():
            path = name.rpartition(".")[0]
            if path in self._tree:
                self._parameters[self._tagger.tag(path)] += math.prod(shape)


def _upwards(tag: str, root: str) -> list[str]:
    """A tag and the tags above it, the root's last."""
    found = [tag]
    while tag != root:
        tag = tag.rpartition("/")[0] or root
        found.append(tag)
    return found


def _parents_first(tags: dict[str, Module], root: str) -> list[str]:
    """Tags so that each is followed by all that is below it."""
    children: dict[str, list[str]] = {}
    for tag in tags:
        if tag != root:
            parent = next((above for above in _upwards(tag, root)[1:] if above in tags), root)
            children.setdefault(parent, []).append(tag)
    found: list[str] = []
    waiting = [root]
    while waiting:
        tag = waiting.pop()
        found.append(tag)
        waiting.extend(reversed(children.get(tag, [])))
    return found
