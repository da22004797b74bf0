"""Every value of a file has a fingerprint, in one pass or several, and inside subgraphs."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.execution.observer import Fingerprints, Observer
from tests.helpers.handmade import parse

CHAIN = "agraph (float[2, 8] x) => (float[2, 8] y) { a = Neg (x) b = Abs (a) y = Exp (b) }"
X = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)

LOOP = """agraph (float[2, 8] x) => (float[2, 8] y) <int64 n = {3}, bool go = {1}> {
    outer = Neg (x)
    y = Loop (n, go, x) <body = step (int64 i, bool on, float[2, 8] s) => (bool on, float[2, 8] t) {
        t = Add (s, outer)
    }>
}"""


MEMORY = 100


def observe(text: str, folder: Path, expected_bytes: int = 0, runs: int = 1) -> Fingerprints:
    onnx.save(parse(text), folder / "m.onnx")
    with OnnxContainer.open(folder / "m.onnx") as container:
        observer = Observer(container, container.skeleton(), expected_bytes, memory=MEMORY)
        observer.prepare()
        for _ in range(runs):
            fingerprints = observer.fingerprints({"x": X}, INFINITY_THRESHOLD)
    return fingerprints


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("runs", [1, 2])
def test_each_value_has_its_fingerprint(passes: int, runs: int, tmp_path: Path) -> None:
    """Inputs included; values that do not fit into memory together take several passes."""
    fingerprints = observe(CHAIN, tmp_path, MEMORY * (passes - 1), runs)
    expected = {"x": X, "a": -X, "b": np.abs(X), "y": np.exp(np.abs(X))}
    assert fingerprints.keys() == {("", name) for name in expected}
    for name, array in expected.items():
        known = value_fingerprint(array)
        assert known is not None
        assert np.allclose(fingerprints["", name].statistics(), known.statistics(), atol=1e-6)


def test_a_subgraph_is_observed_as_it_ran_first(tmp_path: Path) -> None:
    """A loop's first iteration, with what it captures from outside."""
    fingerprints = observe(LOOP, tmp_path)
    first = value_fingerprint(X - X)
    assert first is not None
    assert fingerprints["/1.body", "t"].statistics().tolist() == first.statistics().tolist()
