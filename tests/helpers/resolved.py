"""The nodes of a handmade file, resolved from names and weights."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.resolver import NodeResolver, Resolution
from tests.helpers.aligned import Aligned
from tests.helpers.handmade import record_of


def resolve(
    case: Aligned,
    named: Mapping[str, str] | None = None,
    *,
    structure: bool = True,
    merged: Mapping[str, Iterable[str]] | None = None,
    owners: Mapping[str, str] | None = None,
    modules: Sequence[str | None] | None = None,
) -> Resolution:
    """What is resolved, with some equal names and some knowledge of weights.

    Args:
        case: The file and the record.
        named: Nodes and recorded ops of equal names.
        structure: Whether the alignment may grow.
        merged: Initializers of the file to the recorded ones of which they consist.
        owners: Initializers of the file to the modules whose parameters they are.
        modules: The module of each recorded op; the root without any.
    """
    file, recorded = case.file.indexed, case.record.indexed
    merged_from = {
        file.value_of("", name): frozenset(recorded.value_of("", part) for part in parts)
        for name, parts in (merged or {}).items()
    }
    owned = {file.value_of("", name): module for name, module in (owners or {}).items()}
    weights = WeightMatch(dict(case.graphs.weights), merged_from, owned)
    record = record_of(case.record.model, {"": "Net"}, [""] * len(case.record))
    placed = zip(record.ops, modules or [""] * len(record.ops), strict=True)
    ops = tuple(msgspec.structs.replace(op, module=module) for op, module in placed)
    record = msgspec.structs.replace(record, ops=ops)
    resolver = NodeResolver(record, file, recorded, case.values, weights)
    pairs = {case.node(node): case.op(op) for node, op in (named or {}).items()}
    return resolver.resolve(pairs, structure=structure)


def paired(case: Aligned, actual: Resolution) -> dict[str, list[str]]:
    return {
        case.node_name(node): [case.op_name(op) for op in ops]
        for node, ops in sorted(actual.paired.items())
    }
