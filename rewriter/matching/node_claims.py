"""From recorded ops to modules: what each kind of evidence claims about the nodes of a file."""

from collections.abc import Collection, Mapping

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.operators import is_quantiser
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.identity import UNKNOWN_SCOPE
from modelexport.rewriter.matching.evidence.merged_calls import MergedCalls
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses, match_classes
from modelexport.rewriter.matching.evidence.values import ValueMatch
from modelexport.rewriter.matching.resolver import Resolution
from modelexport.rewriter.matching.thresholds import MOST_ALTERNATIVES

_KINDS = (
    EvidenceKind.NAMES,
    EvidenceKind.WEIGHTS,
    EvidenceKind.VALUES,
    EvidenceKind.STRUCTURE,
)
"""The kinds of evidence that may claim a node here, the strongest first."""


class ClaimBuilder:
    """Builds claims from what was found out about the nodes of a file.

    Args:
        keys: Address of each node.
        record: The record.
        resolution: The recorded ops of the nodes.
        owners: Initializers of the file to the module whose parameter they hold.
    """

    def __init__(
        self,
        keys: list[NodeKey],
        record: Record,
        resolution: Resolution,
        owners: Mapping[int, str],
    ) -> None:
        self._keys = keys
        self._record = record
        self._resolution = resolution
        self._owners = owners
        self._file = resolution.graphs.file
        self._values = resolution.graphs.values
        self._constants = constant_modules(record, self._values)
        self._merged_calls = MergedCalls(record, self._file.graph, self._values)
        self._preparing = self._find_preparing_nodes()

    def build(self) -> list[Claims]:
        """What each kind of evidence claims, the strongest first."""
        claims = {kind: Claims() for kind in _KINDS}
        for node in range(len(self._keys)):
            self._add(node, claims)
        self._add_overruled(claims[EvidenceKind.VALUES])
        return list(claims.values())

    def _add(self, node: int, claims: Mapping[EvidenceKind, Claims]) -> None:
        """Add the claim on a node, or the reason for which there is none."""
        key = self._keys[node]
        claim = self._claim_without_op(node)
        if claim is not None:
            claims[EvidenceKind(claim.kind)].by_node[key] = claim
            return
        kind, ops = self._ops_of(node)
        if not ops:
            if node in self._resolution.graphs.new_nodes:
                claims[kind].not_recorded.add(key)
            module = self._module_around(node)
            if module is not None:
                claims[kind].by_node[key] = Claim(module, kind)
            elif node in self._preparing:
                claims[kind].without_module[key] = "it prepares an input for the nodes that use it"
            elif node in self._resolution.reasons:
                claims[kind].reasons[key] = self._resolution.reasons[node]
            elif self._file.pass_through[node]:
                claims[kind].without_module[key] = "it returns the numbers that it reads"
            return
        unknown = node in self._resolution.paired and ops[0].module is None
        claim = None if unknown else claim_of_ops(ops, kind, self._record.tree)
        if claim is None:
            claims[kind].without_module[key] = UNKNOWN_SCOPE
        else:
            claims[kind].by_node[key] = claim

    def _module_around(self, node: int) -> str | None:
        """The module around a node that the recorded model does not have.

        The root contains everything, so it counts only if the neighbours are the root's own nodes.
        """
        ops = (self._record.ops[op] for op in self._resolution.between.get(node, ()))
        modules = [op.module for op in ops]
        placed = [module for module in modules if module is not None]
        if not placed or len(placed) < len(modules):
            return None
        ancestor = self._record.tree.common_ancestor(placed)
        return ancestor if ancestor or "" in placed else None

    def _find_preparing_nodes(self) -> set[int]:
        """Nodes that are no recorded op, and that run before any module.

        They compute whole numbers or flags from recorded inputs and constants alone. Builders that
        write a graph themselves add them, to bring a mask into the form that their operators need.
        """
        graph, resolution = self._file.graph, self._resolution
        preparing: set[int] = set()
        for node in range(len(graph)):
            has_ops = node in resolution.paired or node in resolution.regions
            if has_ops or graph.derived[node] or not self._computes_whole_numbers(node):
                continue
            sources = [value for value in graph.input_values(node) if not graph.is_constant(value)]
            if sources and all(
                graph.producer[value] in preparing or value in resolution.graphs.inputs
                for value in sources
            ):
                preparing.add(node)
        return preparing

    def _computes_whole_numbers(self, node: int) -> bool:
        """Whether all results of a node are known to be whole numbers or flags."""
        if self._values is None:
            return False
        by_value = self._values.file.fingerprints
        fingerprints = [by_value.get(value) for value in self._file.graph.output_values(node)]
        return bool(fingerprints) and all(p is not None and p.kind != "f" for p in fingerprints)

    def _ops_of(self, node: int) -> tuple[EvidenceKind, list[Op]]:
        """The recorded ops that a node may be, and the kind of evidence for that."""
        resolution = self._resolution
        kind, ops = EvidenceKind.STRUCTURE, resolution.regions.get(node, ())
        if node in resolution.paired:
            kind, ops = resolution.evidence[node], resolution.paired[node]
        elif not ops and node in resolution.ambiguous and not self._is_quantiser(node):
            scored = resolution.ambiguous[node][:MOST_ALTERNATIVES]
            kind, ops = EvidenceKind.VALUES, tuple(alternative.op for alternative in scored)
        if node not in resolution.paired:
            return kind, [self._record.ops[op] for op in ops]
        return kind, [self._merged_calls.part_of(node, op, self._record.ops[op]) for op in ops]

    def _is_quantiser(self, node: int) -> bool:
        """Whether a quantiser inserted a node into the file.

        Such a node belongs to the readers of its result. Many recorded ops may compute its numbers,
        but it is none of them, unless the recorded file was quantised, too.
        """
        if not is_quantiser(self._file.graph.op_types[node]):
            return False
        alternatives = self._resolution.ambiguous[node]
        return not any(is_quantiser(self._record.ops[a.op].op_type) for a in alternatives)

    def _claim_without_op(self, node: int) -> Claim | None:
        """The claim on a node whose module is known although it is paired with no op.

        The node computes a constant that one module computes. Or it does a part of the calls that
        were merged into a recorded op. Or it reads a parameter of one of the modules whose work it
        does, or of any module when it depends on no input, or when it is known to do the work of
        none.
        """
        if node in self._resolution.paired or self._file.pass_through[node]:
            return None
        paired = self._resolution.paired
        ops_after = {op for n in self._file.successors(node) for op in paired.get(n, ())}
        if merged := self._merged_calls.modules_of(node, ops_after):
            return _claim_of_modules(merged, EvidenceKind.VALUES, self._record.tree)
        owners = {self._owners.get(value) for value in self._file.inputs(node)} - {None}
        owner = owners.pop() if len(owners) == 1 else None
        for value in self._file.graph.output_values(node):
            module = self._module_of_constant(value)
            # consecutive whole numbers occur everywhere, so a weight is better evidence
            if module is not None and (owner is None or self._is_real(value)):
                return Claim(module, EvidenceKind.VALUES)
        if owner is None:
            return None
        ops = [self._record.ops[op] for op in self._resolution.regions.get(node, ())]
        modules = {path for op in ops for path in (op.module, *op.also)}
        if self._file.graph.derived[node] or not ops or owner in modules:
            return Claim(owner, EvidenceKind.WEIGHTS)
        return None

    def _module_of_constant(self, value: int) -> str | None:
        if self._values is None:
            return None
        return self._constants.get(self._values.file.classes.class_of.get(value, NONE))

    def _is_real(self, value: int) -> bool:
        return self._values is not None and self._values.file.fingerprints[value].kind == "f"

    def _add_overruled(self, claims: Claims) -> None:
        """Note what names say about nodes that compute something else."""
        for node, op in self._resolution.overruled.items():
            key, module = self._keys[node], self._record.ops[op].module
            settled = claims.by_node.get(key)
            if module is not None and (settled is None or settled.module != module):
                claims.overruled[key] = (
                    f"names say {module or 'the root'}, but what it computes is something else"
                )


def constant_modules(record: Record, values: ValueMatch | None) -> dict[int, str]:
    """Classes of the file's constants that exactly one module computes, and that module."""
    if values is None:
        return {}
    recorded = ValueClasses({n: constant.value for n, constant in enumerate(record.constants)})
    candidates = match_classes(values.file.classes, recorded, values.mode.tolerance)
    modules: dict[int, str] = {}
    for number, matches in enumerate(candidates):
        members = values.file.classes.members[number]
        if not matches or not all(values.file.graph.is_constant(value) for value in members):
            continue
        constants = (record.constants[n] for match in matches for n in recorded.members[match])
        paths = {record.tree.canonical(constant.module) for constant in constants}
        if len(paths) == 1:
            modules[number] = paths.pop()
    return modules


def claim_of_ops(ops: Collection[Op], kind: EvidenceKind, tree: ModuleTree) -> Claim | None:
    """The modules of some recorded ops under their common ancestor; None when none is known."""
    placed = [op for op in ops if op.module is not None]
    covers = tuple(sorted({path for op in placed for path in (op.module or "", *op.also)}))
    if not covers:
        return None
    if len(covers) == 1:
        calls = {op.call for op in placed}
        return Claim(covers[0], kind, call=calls.pop() if len(calls) == 1 else None)
    return _claim_of_modules(covers, kind, tree)


def _claim_of_modules(modules: Collection[str], kind: EvidenceKind, tree: ModuleTree) -> Claim:
    """Some modules under their common ancestor."""
    covers = tuple(sorted(modules))
    if len(covers) == 1:
        return Claim(covers[0], kind)
    return Claim(tree.common_ancestor(covers), kind, covers)
