"""MUST-001: nothing about any model is written into the packages."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import onnx
import pytest
import torch
from rich.console import JustifyMethod
from transformers.models.auto import configuration_auto, modeling_auto

from fixtures_gen.zoo import FIXTURES
from modelexport.tracer.sources.generated.conventions import common_documentation
from tests.helpers.commands import ROOT
from tests.helpers.traced import TracedModels

ROOMS = ("hierarchy", "support", "tracer", "rewriter", "pipeline", "cli")
SHORTEST = 4
"""Names below this length (`x`, `add`) say nothing about a model."""


@cache
def names_of_transformers() -> frozenset[str]:
    """Architectures, classes and configs of all of transformers' own mappings."""
    names: set[str] = set()
    for module in (configuration_auto, modeling_auto):
        for attribute, mapping in vars(module).items():
            if attribute.endswith("_MAPPING_NAMES"):
                for key, value in mapping.items():
                    names.add(key)
                    names.update([value] if isinstance(value, str) else filter(None, value))
    return frozenset(names)


@pytest.fixture(scope="module")
def names_of_the_zoo(traced: TracedModels) -> frozenset[str]:
    """Classes, module paths, parameters, nodes and tensors of every fixture."""
    names: set[str] = set()
    for name, fixture in FIXTURES.items():
        model, _ = fixture.build()
        for path, module in model.named_modules():
            names.add(path)
            if not type(module).__module__.startswith("torch."):
                names.add(type(module).__name__)
        names.update(name for name, _ in model.named_parameters())
        if "torchscript" not in fixture.refused_by:
            graph = onnx.load(traced(name, "torchscript").onnx_path).graph
            names.update(n.name for n in graph.node)
            names.update(o for n in graph.node for o in (*n.input, *n.output))
    return frozenset(names)


@cache
def vocabulary() -> frozenset[str]:
    """Words of the frameworks themselves: protobuf fields, operators, torch's and Python's API.

    transformers documents inputs and their axes once for all of its models; these are its API, too.
    """
    words: set[str] = set()
    words.update(get_args(JustifyMethod))  # rich's
    for name, message in onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name.items():
        words.add(name.removesuffix("Proto").lower())
        words.update(message.fields_by_name)
    for schema in onnx.defs.get_all_schemas():
        words.add(schema.name)
        words.update(schema.attributes)
    for name, entry in common_documentation("ModelArgs").items():
        words.update([name], re.findall(r"[a-z]+", f"{entry.get('shape')} {entry['description']}"))
    words.update(dir(torch.nn.Module), dir(torch.nn), dir(torch), dir(torch.Tensor), dir(str))
    return frozenset(words)


@cache
def constants(source: str) -> tuple[tuple[int, str], ...]:
    """Every string constant of a module that is no docstring, f-strings' parts included."""
    return tuple(_constants(ast.parse(source)))


def _constants(tree: ast.Module) -> Iterator[tuple[int, str]]:
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
        ):
            yield node.lineno, node.value


@cache
def forbidden_words(names: frozenset[str]) -> frozenset[str]:
    """Those of some names that say something about a model, and nothing about a framework."""
    return frozenset(n for n in names if len(n) >= SHORTEST) - vocabulary()


def violations(source: str, names: frozenset[str]) -> list[tuple[int, str]]:
    """String constants that are, or hold as a path or a word, the name of something in a model."""
    forbidden = forbidden_words(names)
    lines = []
    for line, text in constants(source):
        words = {text, *re.split(r"[\s/]+", text)} if " " not in text else {text}
        lines += [(line, word) for word in words if word in forbidden]
    return lines


def sources() -> list[Path]:
    """Every file of the rooms and of the package that they make up."""
    folders = (*ROOMS, "modelexport")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def violations_by_file(names: frozenset[str]) -> dict[str, list[tuple[int, str]]]:
    """The files of the rooms that name something in a model, with lines and names."""
    lines = {str(p.relative_to(ROOT)): violations(p.read_text(), names) for p in sources()}
    return {path: actual for path, actual in lines.items() if actual}


def test_packages_know_no_model_of_transformers() -> None:
    """No package names an architecture, class or config of transformers."""
    names = names_of_transformers()
    assert violations_by_file(names) == {}


def test_packages_know_no_model_of_the_zoo(names_of_the_zoo: frozenset[str]) -> None:
    """No package names a class, module, parameter, node or tensor of any fixture."""
    assert violations_by_file(names_of_the_zoo) == {}


def test_scan_sees_every_package() -> None:
    """The scan covers each package, wherever it is imported from."""
    scanned = set(sources())
    for package in ("modelexport", *(f"modelexport.{room}" for room in ROOMS)):
        file = importlib.import_module(package).__file__
        assert file is not None
        assert Path(file).resolve() in scanned


def test_scan_finds_a_planted_name(names_of_the_zoo: frozenset[str]) -> None:
    """A name of any kind, planted into real source, is found; in a docstring it is not."""
    model, _ = next(iter(FIXTURES.values())).build()
    parameter = max((name for name, _ in model.named_parameters()), key=len)
    architecture = max(names_of_transformers(), key=len)
    source = sources()[0].read_text()
    for name, names in (
        (parameter, names_of_the_zoo),
        (architecture, names_of_transformers()),
    ):
        planted = f"{source}\nif kind == {name!r}:\n    pass\n"
        assert [word for _, word in violations(planted, names)] == [name]
        documented = f'def f():\n    """{name}"""\n'
        assert violations(documented, names) == []
