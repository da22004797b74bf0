"""Errors of libraries become short parts of sentences."""

import errno
import os

import pytest

from modelexport.errors import UsageError
from modelexport.support.error_texts import error_sentence, first_line

LONG = "x" * 1000


@pytest.mark.parametrize(
    ("error", "plain", "with_type"),
    [
        (ValueError("wrong shape"), "wrong shape", "ValueError: wrong shape"),
        (ValueError("\n\n  wrong shape. \nat node 7"), "wrong shape", "ValueError: wrong shape"),
        (KeyError(), "KeyError", "KeyError: no message"),
        (ValueError(LONG), LONG[:300], f"ValueError: {LONG[:300]}"),
    ],
)
def test_the_first_line_that_holds_text(error: Exception, plain: str, with_type: str) -> None:
    """It has no full stop, and at most 300 characters; without a message the class is named."""
    assert first_line(error) == plain
    assert first_line(error, with_type=True) == with_type


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UsageError("Choose one."), "Choose one."),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.onnx"),
            f"out.onnx: {os.strerror(errno.ENOSPC)}.",
        ),
        (RuntimeError("two\nlines"), "unexpected RuntimeError: two lines (see the log)"),
    ],
)
def test_any_error_is_one_sentence(error: Exception, sentence: str) -> None:
    """Ours as they are, those of files with the file, all others with a hint."""
    assert error_sentence(error, "see the log") == sentence
