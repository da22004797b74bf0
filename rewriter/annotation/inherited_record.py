"""Carrying a hierarchy over: an annotated file stands in for the record of its descendants.

The file carries the module tree and a tag on every node. What a record has besides, what its
weights hold and what it computes, the file itself tells: it is read, and run on inputs that
are made for it.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx

from modelexport.errors import RuntimeFailedError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.fingerprints import Array, weight_fingerprint
from modelexport.hierarchy.graph_paths import digest, op_type, walk_graphs, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.opsets import default_opset
from modelexport.hierarchy.record import Op, Probe, ProbeInput, Record, Source, Tensor
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter.container import OnnxContainer, session_source
from modelexport.rewriter.execution.feeding import inputs_of
from modelexport.rewriter.execution.observing import Observer, Prints
from modelexport.rewriter.execution.runtime import Session
from modelexport.rewriter.folding import unfolded
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.inject.names import with_earlier_names
from modelexport.rewriter.matching.evidence import carried as own
from modelexport.rewriter.matching.evidence.carried import Carried, refuse_lossy
from modelexport.rewriter.matching.evidence.comparison_modes import FULL_PRECISION
from modelexport.rewriter.matching.options import read_inputs

INHERITED = "an annotated file"
"""Where the modules come from when one file's hierarchy is carried over to another."""

_OPEN_EXTENT = 9
"""About what open dimensions are given; only memory is planned by it."""

_BYTES = 4


def inherited_record(path: Path, rules: TagRules, matching: MatchOptions) -> Record:
    """The record that an annotated file amounts to.

    Args:
        path: The annotated file; any hierarchy that `annotate` reads without a record will do.
        rules: How module paths are to become tags in the descendant.
        matching: Whether the file may be run, on which inputs, with which libraries.

    Raises:
        FileProblem: The file, or the inputs, cannot be read.
        UsageError: It carries no hierarchy, or its tags have lost what the rules need.
    """
    if matching.reference is not None:
        raise UsageError("--from fits no --reference: the annotated file is the reference.")
    if matching.probe is not None and not matching.run:
        raise UsageError("--no-run does not fit --probe.")
    with OnnxContainer.open(path) as container:
        model = with_earlier_names(unfolded(container.skeleton(), str(path)), str(path))
        graph = ModelGraph(model)
        carried = own.read(model, graph, str(path))
        if carried is None:
            raise UsageError(f"{path}: it carries no hierarchy to hand on: annotate it first.")
        refuse_lossy(carried, rules, str(path))
        probe, prints = _observed(container, model, matching)
        return Record(
            source=Source(path.name, model.producer_name, default_opset(model), (carried.scheme,)),
            digest=digest(model),
            modules=carried.modules,
            ops=tuple(_ops(model, carried, prints)),
            tensors=tuple(_tensors(container, model, carried)),
            probe=probe,
        )


def _observed(
    container: OnnxContainer, model: onnx.ModelProto, matching: MatchOptions
) -> tuple[Probe, Prints]:
    """Inputs that the file runs on, and what it computes from them."""
    if not matching.run:
        return Probe(missing="--no-run was given"), {}
    libraries = [str(library) for library in matching.libraries]
    try:
        if matching.probe is not None:
            feeds = _chosen(model.graph, dict(read_inputs(matching.probe)), matching.probe)
        else:
            source = session_source(container, model)
            session = Session(container.path, source=source, libraries=libraries)
            feeds = session.working_feeds(differing=True)
        observer = Observer(container, model, _expected_bytes(model.graph), libraries)
        prints = observer.prints(feeds, FULL_PRECISION.infinity_threshold)
    except RuntimeFailedError as error:
        return Probe(missing=str(error).rstrip(".")), {}
    return Probe(tuple(ProbeInput.of(name, array) for name, array in feeds.items())), prints


def _chosen(graph: onnx.GraphProto, given: Mapping[str, Array], where: Path) -> dict[str, Array]:
    wanted = [value.name for value in inputs_of(graph)]
    if absent := [name for name in wanted if name not in given]:
        raise UsageError(f"{where}: it lacks the inputs {', '.join(absent)} of the annotated file.")
    return {name: given[name] for name in wanted}


def _ops(model: onnx.ModelProto, carried: Carried, prints: Prints) -> Iterator[Op]:
    for key, node in walk_nodes(model):
        claim = carried.claims.by_node.get(key)
        module: str | None = None
        also: tuple[str, ...] = ()
        if claim is not None:
            module, *rest = claim.covers or (claim.module,)
            also = tuple(rest)
        values = tuple(prints.get((key.graph, name)) for name in node.output)
        yield Op(
            graph=key.graph,
            index=key.position,
            name=node.name,
            op_type=op_type(node),
            outputs=tuple(node.output),
            inputs=tuple(node.input),
            module=module,
            also=also,
            values=values if any(values) else (),
        )


def _tensors(
    container: OnnxContainer, model: onnx.ModelProto, carried: Carried
) -> Iterator[Tensor]:
    tree = ModuleTree(carried.modules)
    for place in walk_graphs(model):
        if not isinstance(place.graph, onnx.GraphProto):
            continue
        for tensor in place.graph.initializer:
            own_name = tensor.name if tree.owner(tensor.name) is not None else None
            held = carried.parameters.get(tensor.name, own_name)
            array = container.array(tensor)
            known = None if array is None else weight_fingerprint(array)
            yield Tensor(tensor.name, held, known, place.path)


def _expected_bytes(graph: onnx.GraphProto) -> int:
    """About what all values take together, as far as the file declares their shapes."""
    shapes = [value.type.tensor_type.shape.dim for value in graph.value_info]
    sizes = [math.prod(d.dim_value or _OPEN_EXTENT for d in dims) for dims in shapes]
    values = sum(len(node.output) for node in graph.node)
    return _BYTES * sum(sizes) * values // max(1, len(sizes))
