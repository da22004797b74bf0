"""The examples in the documentation of the code run, and say what they say."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import analyze, annotate, compare, strip, validate
from tests.helpers.commands import ROOT
from tests.helpers.handmade import TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES, record_of, two_layers

FUNCTIONS = (analyze, annotate, compare, strip, validate)


def modules() -> Iterator[str]:
    """Every module with an example, of the packages whose import is light."""
    for package in (
        "modelexport.hierarchy",
        "modelexport.support",
        "modelexport.rewriter",
        "modelexport.cli",
    ):
        module = importlib.import_module(package)
        for info in pkgutil.walk_packages(module.__path__, f"{package}."):
            file = ROOT / info.name.replace(".", "/")
            source = file / "__init__.py" if info.ispkg else file.with_suffix(".py")
            if ">>>" in source.read_text():
                yield info.name


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the examples: plain, its record, annotated, and one with other weights."""
    monkeypatch.chdir(tmp_path)
    record = record_of(two_layers(), TWO_LAYERS_MODULES, [*TWO_LAYERS_SCOPES[:-1], ""])
    onnx.save(two_layers(), "net.onnx")
    Path("net.trace.json").write_bytes(encode_record(record))
    annotate("net.onnx", record, "net.annotated.onnx")
    model = onnx.load("net.annotated.onnx")
    for weight in model.graph.initializer:
        if weight.name == "layer.1.fc.bias":
            array = numpy_helper.to_array(weight) + np.float32(1)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(model, "changed.onnx")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", list(modules()))
def test_examples(name: str) -> None:
    """Each prints what stands below it."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_function_of_a_command_has_an_example(function: object) -> None:
    """A function that a command calls shows how it is called."""
    assert doctest.DocTestFinder().find(function)[0].examples
