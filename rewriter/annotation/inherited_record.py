"""A record made from an annotated file, for files that descend from it.

The annotated file carries the module tree and a tag on every node. The rest of a record comes
from the file too: its weights are read, and its values are observed while it runs on generated
inputs.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx

from modelexport.errors import RuntimeFailedError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import op_type, walk_graphs, walk_nodes
from modelexport.hierarchy.opsets import default_opset
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.execution.feeds import (
    Feeds,
    InputMismatchError,
    fitting_array,
    graph_inputs,
)
from modelexport.rewriter.execution.generated_feeds import distinctive_feeds
from modelexport.rewriter.execution.observer import Fingerprints, Observer
from modelexport.rewriter.graph.texts import require_text
from modelexport.rewriter.matching import CarriedHierarchy, read_inputs, refuse_lossy
from modelexport.support.numerals import MOST_ELEMENTS

INHERITED = "an annotated file"
"""The source of a match whose record was made from an annotated file, see `Match.source`."""

_OPEN_EXTENT = 9
"""Assumed size of a dimension that the file leaves open; used to estimate memory only."""

_ELEMENT_BYTES = 4
"""Assumed size of an element in bytes; used to estimate memory only."""


def inherited_record(path: Path, rules: TagRules, matching: MatchOptions) -> Record:
    """Make the record that an annotated file stands for.

    Args:
        path: The annotated file. It may carry any hierarchy that `annotate` reads without a
            record.
        rules: How module paths become tags in the descendant.
        matching: Whether the file may be run, on which inputs, and with which libraries.

    Raises:
        FileProblem: The file or the inputs cannot be read.
        UsageError: The file carries no hierarchy, or its tags have lost what `rules` need. Or
            the options cannot be used with an annotated file.
    """
    if matching.reference is not None:
        raise UsageError("--from cannot be used with --reference: the annotated file is it.")
    if matching.probe is not None and not matching.run:
        raise UsageError("--no-run cannot be used with --probe: it runs the annotated file.")
    with ModelFile.open(path, original_names=True) as file:
        if file.carried is None:
            raise UsageError(f"{path}: it carries no hierarchy to inherit: annotate it first.")
        refuse_lossy(file.carried, rules, file.label)
        return record_of_file(file, file.carried, _own_probe(file, matching), matching)


def record_of_file(
    file: ModelFile, hierarchy: CarriedHierarchy, feeds: Feeds | None, matching: MatchOptions
) -> Record:
    """Make the record that a file stands for, with the given module of each node.

    Args:
        file: The file.
        hierarchy: Its modules, and the module of each node.
        feeds: An array for each input; None to generate them.
        matching: Whether the file may be run, and with which libraries.
    """
    return record_of_values(file, hierarchy, *_observed(file, feeds, matching))


def record_of_values(
    file: ModelFile, hierarchy: CarriedHierarchy, probe: Probe, fingerprints: Fingerprints
) -> Record:
    """Make the record that a file stands for, with given fingerprints of its values.

    Args:
        file: The file.
        hierarchy: Its modules, and the module of each node.
        probe: Inputs on which it runs.
        fingerprints: Of the values that it computes, by graph and name.
    """
    model = file.model
    return Record(
        source=Source(
            file.path.name, model.producer_name, default_opset(model), (hierarchy.scheme,)
        ),
        digest=graph_digest(model),
        modules=hierarchy.modules,
        ops=tuple(_ops(model, hierarchy, fingerprints)),
        tensors=tuple(_tensors(file, hierarchy)),
        probe=probe,
    )


def _own_probe(file: ModelFile, matching: MatchOptions) -> Feeds | None:
    """The user's own inputs; None when there are none."""
    if matching.probe is None or not matching.run:
        return None
    return own_feeds(file.model.graph, matching.probe)


def _observed(
    file: ModelFile, feeds: Feeds | None, matching: MatchOptions
) -> tuple[Probe, Fingerprints]:
    """Inputs on which the file runs, and the fingerprint of each value that it computes."""
    if not matching.run:
        return Probe(missing="--no-run was given"), {}
    libraries = [str(library) for library in matching.libraries]
    graph = file.model.graph
    try:
        if feeds is None:
            feeds = distinctive_feeds(file.path, file.session_source(), libraries)
        size = _expected_bytes(graph)
        observer = Observer(file.container, file.model, size, libraries, memory=matching.memory)
        fingerprints = observer.fingerprints(feeds, INFINITY_THRESHOLD)
    except RuntimeFailedError as error:
        return Probe(missing=str(error).rstrip(".")), {}
    inputs = tuple(ProbeInput.from_array(name, array) for name, array in feeds.items())
    return Probe(inputs), fingerprints


def own_feeds(graph: onnx.GraphProto, path: Path) -> Feeds:
    """The arrays for the inputs of a graph, taken from the user's file.

    Args:
        graph: The graph.
        path: An .npz file of arrays by input name.

    Raises:
        UsageError: It is no such file, lacks an input, or has one of another shape.
    """
    arrays = dict(read_inputs(path))
    inputs = graph_inputs(graph)
    if absent := [value.name for value in inputs if value.name not in arrays]:
        raise UsageError(f"{path}: it lacks the inputs {', '.join(absent)} that the file needs.")
    try:
        return {value.name: fitting_array(value, arrays[value.name]) for value in inputs}
    except InputMismatchError as error:
        raise UsageError(f"{path}: {error}.") from error


def _ops(
    model: onnx.ModelProto, carried: CarriedHierarchy, fingerprints: Fingerprints
) -> Iterator[Op]:
    for key, node in walk_nodes(model):
        require_text(node.name, node.op_type, node.domain, *node.input, *node.output)
        claim = carried.claims.by_node.get(key)
        module: str | None = None
        others: tuple[str, ...] = ()
        if claim is not None:
            module, *rest = claim.covers or (claim.module,)
            others = tuple(rest)
        source, *other_sources = carried.source_lines.get(key) or (None,)
        values = tuple(fingerprints.get((key.graph, name)) for name in node.output)
        yield Op(
            graph=key.graph,
            index=key.position,
            name=node.name,
            op_type=op_type(node),
            outputs=tuple(node.output),
            inputs=tuple(node.input),
            module=module,
            call=0 if claim is None else claim.call or 0,
            also=others,
            values=values if any(values) else (),
            source=source,
            other_sources=tuple(filter(None, other_sources)),
        )


def _tensors(file: ModelFile, carried: CarriedHierarchy) -> Iterator[Tensor]:
    """Every initializer, with the parameter that it holds and a fingerprint of its values."""
    tree = carried.tree
    for place in walk_graphs(file.model):
        if not isinstance(place.graph, onnx.GraphProto):
            continue
        for tensor in place.graph.initializer:
            require_text(tensor.name)
            own_name = tensor.name if tree.owner(tensor.name) is not None else None
            parameter = carried.parameters.get(tensor.name, own_name)
            array = file.container.array(tensor)
            fingerprint = None if array is None else weight_fingerprint(array)
            yield Tensor(tensor.name, parameter, fingerprint, place.path)


def _expected_bytes(graph: onnx.GraphProto) -> int:
    """An estimate of the bytes of all values, from the shapes that the file declares."""
    shapes = [value.type.tensor_type.shape.dim for value in graph.value_info]
    sizes = [
        min(math.prod(d.dim_value or _OPEN_EXTENT for d in dims), MOST_ELEMENTS) for dims in shapes
    ]
    values = sum(len(node.output) for node in graph.node)
    return _ELEMENT_BYTES * sum(sizes) * values // max(1, len(sizes))
