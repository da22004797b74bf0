"""Value sides made by hand: a graph as ONNX text, and the numbers that its values hold."""

from collections.abc import Mapping

import numpy as np
from onnx import parser

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.value_side import ValueSide
from tests.helpers.handmade import HEADER


def indexed(text: str) -> IndexedGraph:
    """The graph of an ONNX text without a header."""
    return ModelGraph(parser.parse_model(HEADER + text)).indexed


def fingerprint(array: object) -> ValueFingerprint:
    """The fingerprint of an array of numbers."""
    known = value_fingerprint(np.asarray(array))
    assert known is not None
    return known


def fingerprints(graph: IndexedGraph, arrays: Mapping[str, object]) -> dict[int, ValueFingerprint]:
    """The fingerprints of values of the main graph, by their numbers."""
    return {graph.value_of(MAIN, name): fingerprint(array) for name, array in arrays.items()}


def value_side(text: str, arrays: Mapping[str, object]) -> ValueSide:
    """A graph with the numbers that its values hold, by their names."""
    graph = indexed(text)
    return ValueSide(graph, fingerprints(graph, arrays))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers of a shape, in single precision."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
