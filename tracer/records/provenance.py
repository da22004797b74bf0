"""The parts of a record that are the same for exported and eager models: source and probe."""

from collections.abc import Mapping
from importlib import metadata

import torch
from torch import nn

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Probe, Source
from modelexport.tracer.sources.origin import Origin

_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "modelexport")
"""Packages whose versions a record has."""


def record_source(
    model: nn.Module, origin: Origin | None, exporter: str, opset: int, why: tuple[str, ...]
) -> Source:
    """What was traced, and by which software.

    Args:
        model: The model.
        origin: Where it came from; None when the user gave it as an object.
        exporter: The exporter, or `eager`.
        opset: Opset of the plain file; 0 without one.
        why: Which exporter and opset were chosen, and why.
    """
    return Source(
        name=origin.name if origin else type(model).__name__,
        exporter=exporter,
        opset=opset,
        why=why,
        task=origin.task if origin else None,
        versions=_versions(),
    )


def record_probe(feed: Mapping[str, Array], missing: str | None) -> Probe:
    """The probe inputs, and why there are no fingerprints of values (None when there are)."""
    inputs = (ProbeInput.from_array(name, array) for name, array in feed.items())
    return Probe(tuple(inputs), missing)


def _versions() -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions | {"torch": str(torch.__version__)}
