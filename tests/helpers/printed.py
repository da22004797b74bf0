"""Networks of equal layers, and what a terminal shows of them."""

import io
from pathlib import Path

import onnx
from rich.console import Console

from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import annotate
from tests.helpers.handmade import layers

RUNS = (*("Relu",) * 3, "Tanh", *("Relu",) * 12)
"""Operators of a network: a run of equal layers, another layer, and a longer run."""


def save_layers(folder: Path, name: str, *operators: str, rules: TagRules | None = None) -> Path:
    """An annotated network of layers."""
    model, record = layers(*operators)
    onnx.save(model, folder / "plain.onnx")
    annotate(folder / "plain.onnx", record, folder / name, rules=rules)
    return folder / name


def printed(renderable: object, width: int) -> str:
    """What a terminal of some width shows."""
    console = Console(width=width, file=io.StringIO(), highlight=False, soft_wrap=True)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
