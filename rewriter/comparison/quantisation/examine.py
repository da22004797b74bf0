"""A file of fewer bits, module by module: local errors, cumulative ones, and what to leave out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.differences import measure_errors, without_masked
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.local_errors import LocalError, local_errors
from modelexport.rewriter.comparison.quantisation.results import (
    ModuleError,
    SuggestedModule,
    Suggestion,
)
from modelexport.rewriter.comparison.quantisation.suggest import GainMeasurement
from modelexport.rewriter.comparison.quantisation.switchable_file import SwitchableFile
from modelexport.rewriter.comparison.quantisation.switchable_graph import SharedValue
from modelexport.rewriter.selection.tool_formats import quantiser_names

_SMALL_TYPES = {
    number
    for name, number in onnx.TensorProto.DataType.items()
    if name.startswith(
        ("FLOAT16", "BFLOAT16", "FLOAT8", "FLOAT4", "INT8", "UINT8", "INT4", "UINT4")
    )
}
"""Types of elements in which tools store weights in fewer bits than single precision has."""

_QUANTISERS = {"QuantizeLinear", "DynamicQuantizeLinear"}


def has_fewer_bits(file: ComparedFile, reference: ComparedFile | None = None) -> bool:
    """Whether a file holds or computes numbers in fewer bits than its reference.

    Args:
        file: The file.
        reference: The reference; None for one in single precision.
    """
    own, other = _small_parts(file), (0 if reference is None else _small_parts(reference))
    return own > other


def _small_parts(file: ComparedFile) -> int:
    graph = file.model.graph
    weights = sum(
        w.data_type in _SMALL_TYPES and any(d > 1 for d in w.dims) for w in graph.initializer
    )
    return weights + sum(node.op_type in _QUANTISERS for node in graph.node)


@dataclass(frozen=True)
class Examined:
    """What examining a file gives.

    Attributes:
        errors: The errors of its modules, the largest local error first; by key.
        suggestion: What to leave out; None when that was not asked for.
    """

    errors: dict[str, ModuleError]
    suggestion: Suggestion | None = None


def module_errors(
    quantised: ExaminedFile,
    exact: Mapping[str, Array],
    tag: Callable[[str], str],
    libraries: list[str],
) -> dict[str, ModuleError]:
    """The local and the cumulative error of each module, the largest local error first.

    Args:
        quantised: The quantised file.
        exact: The exact real numbers of values of the file, by their names there.
        tag: The tag of a module by its key.
        libraries: Custom operator libraries that onnxruntime loads.

    Raises:
        RuntimeFailedError: onnxruntime does not run the rewired file.
    """
    exact = {
        name: array
        for name, array in exact.items()
        if array.dtype.kind == "f" and quantised.groups.producer_group(name) is not None
    }
    values = quantised.values(list(exact))
    forms = quantised.forms(list(exact))
    exact = {name: array for name, array in exact.items() if name in forms and name in values}
    errors = local_errors(quantised, exact, forms, libraries)
    counts = quantised.groups.counts()
    rows = {key: _row(tag(key), counts[key], local, exact, values) for key, local in errors.items()}
    order = sorted(rows, key=lambda key: -errors[key].errors.distance)
    return {key: rows[key] for key in order}


def _row(
    tag: str, nodes: int, local: LocalError, exact: Mapping[str, Array], values: Mapping[str, Array]
) -> ModuleError:
    cumulative = measure_errors(*without_masked(exact[local.name], values[local.name]))
    return ModuleError(
        tag=tag,
        value=local.name,
        nodes=nodes,
        relative=local.errors.relative,
        snr_db=local.errors.snr_db,
        max_abs=local.errors.max_abs,
        cumulative=cumulative.relative,
        cumulative_snr_db=cumulative.snr_db,
    )


def suggest(
    reference: ExaminedFile,
    quantised: ExaminedFile,
    pairs: Iterable[tuple[str, str]],
    outputs: Iterable[tuple[str, str]],
    candidates: Sequence[str],
    tag: Callable[[str], str],
    tolerance: float,
    libraries: list[str],
) -> Suggestion:
    """Find out which modules to leave out of quantisation.

    Args:
        reference: The float file.
        quantised: The quantised file.
        pairs: Values that both have, by their names in the reference and in the quantised file.
        outputs: The same of the outputs.
        candidates: Keys of the modules that may be left out.
        tag: The tag of a module by its key.
        tolerance: Error of the outputs from which on nothing has to be gained.
        libraries: Custom operator libraries that onnxruntime loads.

    Raises:
        RuntimeFailedError: onnxruntime does not run both files as one.
        UsageError: The files have no output in common.
    """
    pairs, outputs = list(pairs), list(outputs)
    if not outputs:
        raise UsageError(
            f"{quantised.file.path}: none of its outputs is one of {reference.file.path}, so no "
            "gain can be measured."
        )
    left = reference.forms([a for a, _ in pairs])
    right = quantised.forms([b for _, b in pairs])
    shared = [
        SharedValue(a, b, left[a], right[b])
        for a, b in pairs
        if a in left and b in right and left[a].is_real and right[b].is_real
    ]
    file = SwitchableFile(reference, quantised, shared, libraries)
    exact = reference.runner.values([a for a, _ in outputs], reference.feeds)
    measured = GainMeasurement(
        file, {b: exact[a] for a, b in outputs if exact[a].dtype.kind == "f"}, candidates
    )
    steps = [
        _step(reference, tag(key), key, gain, measured.alone[key], error)
        for key, gain, error in measured.choose(tolerance)
    ]
    operators = {node.name: node.op_type for node in reference.groups.graph.nodes}
    names = [
        name
        for step in steps
        for node in step.nodes
        for name in quantiser_names(node, operators[node])
    ]
    return Suggestion(
        reference=reference.file.path.name,
        error=measured.error,
        steps=steps,
        measured={tag(key): gain for key, gain in measured.alone.items()},
        nodes_to_exclude=list(dict.fromkeys(names)),
        unmeasured=[tag(key) for key in measured.unmeasured],
    )


def _step(
    file: ExaminedFile, tag: str, key: str, gain: float, alone: float, error: float
) -> SuggestedModule:
    nodes = [
        node
        for node, group in zip(file.groups.graph.nodes, file.groups.of, strict=True)
        if group is not None and group.key == key
    ]
    names = [node.name for node in nodes if node.name]
    return SuggestedModule(tag, names, len(nodes) - len(names), gain, alone, error)
