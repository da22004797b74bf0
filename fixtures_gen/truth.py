"""The module of every ONNX node, as far as values tell, without asking any exporter.

A model is run eagerly (`fixtures_gen.eager`) and its ONNX file in onnxruntime
(`fixtures_gen.onnx_values`), on the same inputs. A node computes what certain eager operators
computed; their modules are its true ones. Three things keep this honest:

- a node whose output holds the numbers of one of its inputs only passes them through
  (reshapes, transpositions, casts): many nodes hold that value, so none is settled by it;
- a value of few elements, or of few distinct ones, is found everywhere and says nothing;
- of the operators that made the value, those count whose own inputs the node reads. Where none
  reads them directly, the node does the work of several operators (a convolution into which
  a batch norm was folded), and each of their modules is a true one;
- where even that chain is not found, a node that only puts pieces together again (a roll, as
  slices and a concatenation) passes them through;
- whole numbers (counts, positions) are easily the same by chance: an operator that made them
  has to share an input with the node.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from fixtures_gen.eager import Eager, Sorted, Step, corners, in_order, run_eagerly
from fixtures_gen.onnx_values import Array, Execution, Observed, observe
from fixtures_gen.registry import Inputs, inputs_as_call
from modelexport.hierarchy.graph_paths import NodeKey, subgraphs, walk_nodes

FEWEST_ELEMENTS = 8
FEWEST_DISTINCT = 3
TOLERANCE = 1e-4
"""Of the greatest magnitude; two runtimes differ in the last digits."""

BEYOND = 1e30
"""What masks put in place of minus infinity; larger magnitudes are compared as infinite."""

_LONGEST_SPAN = 6
"""How many operators in a row one node may stand for."""

PASSING = "passes its input through"
CONSTANT = "reads nothing"
HAS_SUBGRAPHS = "has subgraphs, which are settled themselves"
NOT_RUN = "did not run"
PLAIN = "its value is too small or too plain"
UNSEEN = "eager execution has no such value"


@dataclass
class Truth:
    """What values tell.

    Attributes:
        settled: The true module paths of a node, one unless several are equally true.
        open: Why a node is not settled.
        op_types: Of every node.
    """

    settled: dict[NodeKey, frozenset[str]] = field(default_factory=dict)
    open: dict[NodeKey, str] = field(default_factory=dict)
    op_types: dict[NodeKey, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Disagreement:
    """A node that was given a module which is none of its true ones."""

    key: NodeKey
    op_type: str
    true: frozenset[str]
    said: str | None


def truth(model: nn.Module, inputs: Inputs, onnx_path: Path) -> Truth:
    """Settle the nodes of an ONNX file of a model by values."""
    observed = observe(onnx_path, feeds(model, inputs, onnx.load(onnx_path).graph))
    return settle(observed, run_eagerly(model, inputs))


def settle(observed: Observed, eager: Eager) -> Truth:
    """Settle the nodes of a file that ran by an eager run on the same inputs."""
    found = Truth()
    for key, node in walk_nodes(observed.model):
        found.op_types[key] = node.op_type
        answer = _settle(node, observed.executions.get(key, []), eager)
        if isinstance(answer, str):
            found.open[key] = answer
        else:
            found.settled[key] = answer
    return found


def disagreements(
    found: Truth, said: Mapping[NodeKey, str | None], write: Callable[[str], str] = str
) -> list[Disagreement]:
    """The settled nodes that were given a module which is none of their true ones.

    Args:
        found: The truth.
        said: What each node was given.
        write: How `said` writes a module path; tags need a `Tagger`'s.
    """
    wrong = []
    for key, modules in found.settled.items():
        true = frozenset(map(write, modules))
        if said.get(key) not in true:
            wrong.append(Disagreement(key, found.op_types[key], true, said.get(key)))
    return wrong


def feeds(model: nn.Module, inputs: Inputs, graph: onnx.GraphProto) -> dict[str, Array]:
    """A model's inputs by the names that they have in an ONNX file."""
    args, kwargs = inputs_as_call(inputs)
    values: list[torch.Tensor] = [*args, *kwargs.values()]
    named = {value.name for value in graph.input}
    bound: dict[str, object] = dict(
        inspect.signature(model.forward).bind(*args, **kwargs).arguments
    )
    if not named <= set(bound):
        assert len(values) == len(named), "an input was dropped and the others renamed"
        bound = dict(zip((value.name for value in graph.input), values, strict=True))
    return {n: t.numpy() for n, t in bound.items() if n in named and isinstance(t, torch.Tensor)}


def _settle(node: onnx.NodeProto, runs: list[Execution], eager: Eager) -> frozenset[str] | str:
    """The true modules of a node, or why there are none."""
    if any(True for _ in subgraphs(node)):
        return HAS_SUBGRAPHS
    if not any(node.input):
        return CONSTANT
    if not runs:
        return NOT_RUN
    answers = [_settle_run(run, eager) for run in runs]
    modules: frozenset[str] = frozenset()
    for answer in answers:
        if isinstance(answer, str):
            return answer
        modules |= answer
    return modules


def _settle_run(run: Execution, eager: Eager) -> frozenset[str] | str:
    inputs = [in_order(array) for array in run.inputs if array.dtype.kind in "fiub"]
    outputs = [in_order(array) for array in run.outputs if array.dtype.kind in "fiub"]
    if not outputs or any(alike(output, i) for output in outputs for i in inputs):
        return PASSING
    telling = [output for output in outputs if _is_telling(output)]
    if not telling:
        return PLAIN
    if any(_spread(array, output) for array in inputs for output in outputs):
        return PASSING
    read = {c for array in inputs for c in _alike_classes(array, eager)}
    modules: frozenset[str] = frozenset()
    for output in telling:
        makers = [s for c in _alike_classes(output, eager) for s in eager.made_by.get(c, ())]
        if not makers:
            return UNSEEN
        if _is_whole(output) and not (makers := [s for s in makers if s.inputs & read]):
            return PLAIN
        origins = _origins(makers, read, eager)
        if origins is None and _puts_together(inputs, output):
            return PASSING
        modules |= origins or frozenset().union(*(step.modules for step in makers))
    return modules


def _spread(given: Sorted, output: Sorted) -> bool:
    """Whether whole numbers (positions, mostly) are given back several times over.

    Everybody spreads positions over a batch, so that one who does is no witness for another.
    """
    times, rest = divmod(output.size, max(1, given.size))
    return not rest and _is_whole(output) and alike(np.repeat(given, times), output)


def _puts_together(inputs: list[Sorted], output: Sorted) -> bool:
    return len(inputs) > 1 and alike(np.sort(np.concatenate(inputs)), output)


def _is_whole(numbers: Sorted) -> bool:
    finite = numbers[np.isfinite(numbers)]
    return bool((finite == np.round(finite)).all())


def _is_telling(numbers: Sorted) -> bool:
    finite = numbers[np.abs(numbers) < BEYOND]
    if numbers.size < FEWEST_ELEMENTS or not finite.size:
        return False
    gap = TOLERANCE * float(np.abs(finite).max())
    return int((np.diff(finite) > gap).sum()) + 1 >= FEWEST_DISTINCT


def alike(left: Sorted, right: Sorted) -> bool:
    """Whether two sorted arrays hold the same numbers, but for rounding."""
    if left.size != right.size:
        return False
    left, right = (np.where(np.abs(x) >= BEYOND, np.copysign(np.inf, x), x) for x in (left, right))
    same = left == right
    gap = np.abs(left[~same] - right[~same])
    if not np.isfinite(gap).all():
        return False
    scale = np.abs(left[np.isfinite(left)]).max(initial=0)
    return bool((gap <= TOLERANCE * scale).all())


def _alike_classes(numbers: Sorted, eager: Eager) -> Iterable[int]:
    """The classes that hold some numbers; their corners are compared first, which is cheap."""
    classes = eager.sizes.get(numbers.size)
    if not classes:
        return []
    rows = eager.corners_of(numbers.size)
    greatest = np.abs(rows).max(axis=1)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(rows - corners(numbers)).max(axis=1)
    # a little wider than the comparison itself; what is masked, only that can tell
    near = (gaps <= 2 * TOLERANCE * greatest) | (greatest >= BEYOND)
    close = (c for c, is_near in zip(classes, near, strict=True) if is_near)
    return [c for c in close if alike(eager.classes[c], numbers)]


def _origins(makers: list[Step], read: set[int], eager: Eager) -> frozenset[str] | None:
    """The modules of the makers that are nearest to what the node reads, and all between.

    None when no chain of operators leads from what the node reads to a maker.
    """
    for length in range(_LONGEST_SPAN):
        spans = [_span(step, read, eager, length) for step in makers]
        if closed := [span for span in spans if span is not None]:
            return frozenset().union(*closed)
    return None


def _span(step: Step, read: set[int], eager: Eager, further: int) -> frozenset[str] | None:
    """The modules between what a node reads and a step, at most `further` steps back."""
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
