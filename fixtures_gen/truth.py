"""The true module of every ONNX node, as far as values show it, without the help of any exporter.

A model runs eagerly (`fixtures_gen.eager`), and its ONNX file runs in onnxruntime
(`fixtures_gen.onnx_values`), on the same inputs. A node computes what certain eager operators
computed; their modules are its true ones. These rules keep the truth honest:

- a node whose output has the elements of one of its inputs only passes them on (reshapes,
  transpositions, casts): many nodes have that value, so its module is unknown;
- a value with few elements, or with few distinct ones, occurs everywhere and shows nothing;
- of the operators that made the value, those count whose own inputs the node reads. Where none
  reads them directly, the node does the work of several operators (a convolution into which a
  batch normalisation was folded), and each of their modules is a true one;
- where no such chain of operators exists, a node that only joins its inputs (a roll, as slices
  and a concatenation) passes them on;
- integers (counts, positions) are easily equal by chance: an operator that made them must share
  an input with the node.
"""

import inspect
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from fixtures_gen.covers import NUMBERS, Covers, CoversFinder
from fixtures_gen.eager import Eager, Sorted, Step, run_eagerly
from fixtures_gen.onnx_values import Array, Execution, Observed, observe
from fixtures_gen.registry import Inputs, inputs_as_call
from fixtures_gen.similar import alike, classes_like, is_distinctive
from modelexport.hierarchy.graph_paths import NodeKey, subgraphs, walk_nodes

_MAX_SPAN = 6
"""Maximum number of consecutive operators whose work one node does."""

PASSES_ON = "passes its input on"
CONSTANT = "reads nothing"
HAS_SUBGRAPHS = "has subgraphs, whose nodes have modules of their own"
NOT_RUN = "did not run"
NOT_DISTINCTIVE = "its value is too small or too uniform"
UNSEEN = "eager execution has no such value"


@dataclass
class Truth:
    """What values show about the nodes of a file.

    Attributes:
        modules: The true module paths of a node: one, unless several are equally true.
        unknown: Why the module of a node is unknown.
        op_types: The operator types of all nodes.
        covers: The modules whose operators a node does.
    """

    modules: dict[NodeKey, frozenset[str]] = field(default_factory=dict)
    unknown: dict[NodeKey, str] = field(default_factory=dict)
    op_types: dict[NodeKey, str] = field(default_factory=dict)
    covers: dict[NodeKey, Covers] = field(default_factory=dict)


def truth(model: nn.Module, inputs: Inputs, onnx_path: Path) -> Truth:
    """The truth of an ONNX file of a model."""
    observed = observe(onnx_path, feeds(model, inputs, onnx.load(onnx_path).graph))
    return derive_truth(observed, run_eagerly(model, inputs))


def derive_truth(observed: Observed, eager: Eager) -> Truth:
    """The truth of a file, from its run and an eager run on the same inputs."""
    result = Truth()
    for key, node in walk_nodes(observed.model):
        result.op_types[key] = node.op_type
        answer = _true_modules(key, node, observed, eager)
        if isinstance(answer, str):
            result.unknown[key] = answer
        else:
            result.modules[key] = answer
    finder = CoversFinder(observed, eager)
    result.covers = finder.find(result.modules)
    result.covers |= finder.of_joined(key for key, why in result.unknown.items() if why == UNSEEN)
    return result


def feeds(model: nn.Module, inputs: Inputs, graph: onnx.GraphProto) -> dict[str, Array]:
    """The inputs of a model by the names that they have in an ONNX file."""
    args, kwargs = inputs_as_call(inputs)
    values = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    names = {value.name for value in graph.input}
    bound: dict[str, object] = dict(
        inspect.signature(model.forward).bind(*args, **kwargs).arguments
    )
    if not names <= set(bound):
        assert len(values) == len(names), "an input was dropped, and the others were renamed"
        bound = dict(zip((value.name for value in graph.input), values, strict=True))
    return {n: t.numpy() for n, t in bound.items() if n in names and isinstance(t, torch.Tensor)}


def _true_modules(
    key: NodeKey, node: onnx.NodeProto, observed: Observed, eager: Eager
) -> frozenset[str] | str:
    """The true modules of a node, or why they are unknown."""
    if any(True for _ in subgraphs(node)):
        return HAS_SUBGRAPHS
    if not any(node.input):
        return CONSTANT
    if not observed.executions.get(key):
        return NOT_RUN
    modules: frozenset[str] = frozenset()
    for answer in [
        _modules_of_run(run, observed, eager) for run in observed.executions.get(key, ())
    ]:
        if isinstance(answer, str):
            return answer
        modules |= answer
    return modules


def _modules_of_run(run: Execution, observed: Observed, eager: Eager) -> frozenset[str] | str:
    """The true modules of a node that ran once, or why they are unknown."""
    inputs = [observed.in_order(array) for array in run.inputs if array.dtype.kind in NUMBERS]
    outputs = [observed.in_order(array) for array in run.outputs if array.dtype.kind in NUMBERS]
    if not outputs or any(alike(output, i) for output in outputs for i in inputs):
        return PASSES_ON
    distinctive = [output for output in outputs if is_distinctive(output)]
    if not distinctive:
        return NOT_DISTINCTIVE
    if any(_is_repetition(array, output) for array in inputs for output in outputs):
        return PASSES_ON
    read = {c for array in inputs for c in classes_like(array, eager)}
    modules: frozenset[str] = frozenset()
    for output in distinctive:
        makers = [s for c in classes_like(output, eager) for s in eager.made_by.get(c, ())]
        if not makers:
            return UNSEEN
        if _is_integral(output) and not (makers := [s for s in makers if s.inputs & read]):
            return NOT_DISTINCTIVE
        origins = _origins(makers, read, eager)
        if origins is None and _is_concatenation(inputs, output):
            return PASSES_ON
        modules |= origins or frozenset().union(*(step.modules for step in makers))
    return modules


def _is_repetition(source: Sorted, output: Sorted) -> bool:
    """Whether an output repeats the integers of an input (positions, mostly).

    All models repeat positions over a batch, so an operator that does so shows nothing about a
    node that does the same.
    """
    times, rest = divmod(output.size, max(1, source.size))
    return not rest and _is_integral(output) and alike(np.repeat(source, times), output)


def _is_concatenation(inputs: list[Sorted], output: Sorted) -> bool:
    """Whether an output has exactly the elements of all inputs."""
    return len(inputs) > 1 and alike(np.sort(np.concatenate(inputs)), output)


def _is_integral(numbers: Sorted) -> bool:
    finite = numbers[np.isfinite(numbers)]
    return bool((finite == np.round(finite)).all())


def _origins(makers: list[Step], read: set[int], eager: Eager) -> frozenset[str] | None:
    """The modules of the makers nearest to what the node reads, and all modules between.

    None when no chain of operators leads from what the node reads to a maker.
    """
    for length in range(_MAX_SPAN):
        spans = [_span(step, read, eager, length) for step in makers]
        if closed := [span for span in spans if span is not None]:
            return frozenset().union(*closed)
    return None


def _span(step: Step, read: set[int], eager: Eager, further: int) -> frozenset[str] | None:
    """The modules between what a node reads and a step, at most `further` steps before it."""
    modules = step.modules
    for value in step.inputs:
        makers = eager.made_by.get(value, [])
        if value in read or not makers:
            continue
        if not further:
            return None
        spans = [_span(maker, read, eager, further - 1) for maker in makers]
        if not (closed := [span for span in spans if span is not None]):
            return None
        modules |= min(closed, key=len)
    return modules
