"""Inputs that are generated for a file: it runs on them, and they tell values apart."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.errors import RuntimeFailedError
from modelexport.rewriter.container import OnnxContainer, file_source
from modelexport.rewriter.execution.generated_feeds import distinctive_feeds, generate_feeds
from modelexport.rewriter.execution.session import Session, open_session
from tests.helpers.handmade import parse


def test_inputs_are_as_different_as_the_file_takes_them(tmp_path: Path) -> None:
    """Indices stay inside their table, flags stay flags, dynamic dimensions are a batch of two."""
    rows = 50
    model = parse(
        """
        agraph (int64[N, L] words, int64[N, L] kinds) => (float[N, L, 3] y) {
           a = Gather (table.words, words)
           b = Gather (table.kinds, kinds)
           y = Add (a, b)
        }
        """,
        {"table.words": (rows, 3), "table.kinds": (2, 3)},
    )
    onnx.save(model, tmp_path / "m.onnx")
    feeds = generate_feeds(open_session(tmp_path / "m.onnx"), distinctive=True)
    words, kinds = feeds["words"], feeds["kinds"]
    assert words.shape == kinds.shape
    assert words.shape[0] == 2
    assert np.unique(words).size == words.size
    assert words.max() < rows
    assert set(kinds.flat) == {0, 1}


@pytest.mark.parametrize("tokens", [1, 2, 3, 5, 7, 8, 40])
def test_a_mask_hides_the_end_at_most(tmp_path: Path, tokens: int) -> None:
    """However short a text is: one of which all is hidden computes no numbers."""
    model = parse(f"agraph (int64[1, {tokens}] mask) => (int64[1, {tokens}] y) {{ y = Neg(mask) }}")
    onnx.save(model, tmp_path / "m.onnx")
    mask = generate_feeds(open_session(tmp_path / "m.onnx"))["mask"].reshape(-1)
    assert mask[0] == 1
    assert (np.diff(mask) <= 0).all()
    assert mask.all() == (tokens <= 2)


def test_a_file_that_cannot_be_optimised_again_runs_as_it_is(tmp_path: Path) -> None:
    """Onnxruntime names the shapes that it makes for a product, and such a name is taken here."""
    model = parse(
        """
        agraph (float[2, 3, 4] x) => (float[6, 4] y) <int64[2] gemm_input_shape = {6, 4}> {
           p = MatMul (x, w)
           q = Add (p, b)
           y = Reshape (q, gemm_input_shape)
        }
        """,
        {"w": (4, 4), "b": (4,)},
    )
    onnx.save(model, tmp_path / "m.onnx")
    with OnnxContainer.open(tmp_path / "m.onnx") as container:
        source = file_source(container)
        feeds = distinctive_feeds(tmp_path / "m.onnx", source, [])
        session = Session(tmp_path / "m.onnx", source=source, plain=True)
    assert session.run(feeds)["y"].shape == (6, 4)


def session_of(text: str, folder: Path) -> Session:
    onnx.save(parse(text), folder / "m.onnx")
    return open_session(folder / "m.onnx")


def test_reals_are_positive_where_the_file_takes_roots(tmp_path: Path) -> None:
    """Outputs that are no numbers would tell nothing."""
    session = session_of("agraph (float[2, 8] x) => (float[2, 8] y) { y = Sqrt (x) }", tmp_path)
    assert (generate_feeds(session)["x"] < 0).any()
    assert (generate_feeds(session, distinctive=True)["x"] >= 0).all()


def test_equal_names_of_dimensions_are_equal_extents(tmp_path: Path) -> None:
    """A dimension that two inputs share gets one extent, wherever it stands."""
    session = session_of(
        """agraph (float[N, M] a, float[M, K] b) => (float[N, K] y) { y = MatMul (a, b) }""",
        tmp_path,
    )
    feeds = generate_feeds(session)
    assert feeds["a"].shape[1] == feeds["b"].shape[0]


def test_a_type_of_input_that_cannot_be_generated_is_named(tmp_path: Path) -> None:
    """The message names the input and its type, and what to do."""
    session = session_of(
        """agraph (seq(float[2]) xs) => (int64 y) { y = SequenceLength (xs) }""", tmp_path
    )
    with pytest.raises(RuntimeFailedError, match=r"input xs is a seq.*--record"):
        generate_feeds(session)


def test_one_dimension_may_be_the_sum_of_two_others(tmp_path: Path) -> None:
    """The mask of a decoder is as long as its cache and its new tokens, whatever their names."""
    session = session_of(
        "agraph (float[B, S] x, float[B, P] past, float[B, T] mask) => (float[C, T] y)"
        "{ z = Concat <axis = 1> (past, x) y = Concat <axis = 0> (z, mask) }",
        tmp_path,
    )
    shapes = {name: array.shape for name, array in generate_feeds(session).items()}
    assert shapes["mask"][1] == shapes["x"][1] + shapes["past"][1]
    assert len({shape[0] for shape in shapes.values()}) == 1


@pytest.mark.parametrize("empty", ["", "0, "])
def test_inputs_that_no_memory_holds_are_refused(tmp_path: Path, empty: str) -> None:
    """An extent of zero does not make them small: no array has the other extents."""
    model = parse(
        f"agraph (float[{empty}{1 << 40}, {1 << 40}] x) => (float y) {{ y = ReduceSum (x) }}"
    )
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(RuntimeFailedError, match="for which no data is"):
        generate_feeds(open_session(tmp_path / "m.onnx"))
