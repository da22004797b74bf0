"""The reference data of a model: its plain file, its record, its truth, and what its tags are.

`python -m fixtures_gen --model SOURCE --output-dir DIR` writes them. Nothing in them is a copy of
what a run once gave: they are generated anew where they are compared.
"""

import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch

from fixtures_gen.registry import Inputs
from fixtures_gen.truth import truth
from modelexport.rewriter import annotate
from modelexport.tracer import load, trace

LIBRARIES = ("modelexport", "numpy", "onnx", "onnxruntime", "torch", "transformers")


class NodeTruth(msgspec.Struct, frozen=True, omit_defaults=True):
    """What eager execution shows about one node.

    Attributes:
        graph, position: Its address, see `hierarchy.graph_paths`.
        op_type: Its operator.
        modules: The paths of its true modules; empty when they are unknown.
        unknown: Why they are unknown.
    """

    graph: str
    position: int
    op_type: str
    modules: tuple[str, ...] = ()
    unknown: str | None = None


class Baseline(msgspec.Struct, frozen=True):
    """What is written beside the plain file and the record.

    Attributes:
        source: The model's source.
        exporter: The exporter of the file.
        versions: Of Python and of the libraries.
        truth: One entry for each node, in the order of `walk_nodes`.
        nodes_by_tag: Number of nodes that have each tag.
        nodes_by_evidence: Number of nodes that each kind of evidence settled.
    """

    source: str
    exporter: str
    versions: dict[str, str]
    truth: tuple[NodeTruth, ...]
    nodes_by_tag: dict[str, int]
    nodes_by_evidence: dict[str, int]


def write_baseline(source: str, folder: Path, *, exporter: str = "auto") -> Baseline:
    """Write the reference data of a model into a folder.

    It gets `model.onnx`, `model.trace.json`, `model.annotated.onnx` and `baseline.json`. Files of
    these names are replaced.

    Args:
        source: A source as `modelexport trace` takes it.
        folder: The folder; it is made if needed.
        exporter: The exporter.

    Raises:
        ModelExportError: The model cannot be loaded or exported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load(source)
    traced = trace(
        loaded.model, loaded.inputs, folder / "model.onnx", exporter=exporter, force=True
    )
    annotated = folder / "model.annotated.onnx"
    report = annotate(traced.onnx_path, traced.record, annotated, force=True)
    true = truth(loaded.model, _as_call(loaded.inputs), traced.onnx_path)
    tags = Counter(decision.tag for decision in report.decisions if decision.tag is not None)
    baseline = Baseline(
        source,
        traced.record.source.exporter,
        {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        tuple(
            NodeTruth(
                key.graph,
                key.position,
                op_type,
                tuple(sorted(true.modules.get(key, ()))),
                true.unknown.get(key),
            )
            for key, op_type in true.op_types.items()
        ),
        dict(sorted(tags.items())),
        report.evidence,
    )
    (folder / "baseline.json").write_bytes(msgspec.json.format(msgspec.json.encode(baseline)))
    return baseline


def _as_call(inputs: Any) -> Inputs:
    """Example inputs of any form as positional or keyword arguments."""
    if isinstance(inputs, torch.Tensor):
        return (inputs,)
    return dict(inputs) if isinstance(inputs, Mapping) else tuple(inputs)
