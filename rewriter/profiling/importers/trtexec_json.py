"""The profile that trtexec writes with --exportProfile, and its layers from --exportLayerInfo.

TensorRT names a layer after the ONNX nodes that it runs. Where it does not (`__myl_...`), the
layer information has these nodes, if the engine was built with detailed profiling verbosity.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, RecordedProfile

TENSORRT = "TensorRT"
"""The runtime as profiles of trtexec are called."""

_COPY = re.compile(r"^Reformatting CopyNode for (?:Input|Output) Tensor \d+ (?:to|from) ")
_GROUP = re.compile(r"^\{?ForeignNode\[(.+?)\.\.\.(.+?)\]\}?$")
_CLONE = re.compile(r"_clone_\d+$")
_METADATA = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]+)\]")


def is_trtexec(document: Any) -> bool:
    """Whether a JSON document is a profile of trtexec."""
    return isinstance(document, list) and any(
        isinstance(entry, dict) and "name" in entry and "averageMs" in entry for entry in document
    )


def read_trtexec(document: Sequence[dict[str, Any]], layer_info: Any = None) -> RecordedProfile:
    """Read a profile.

    Args:
        document: The profile.
        layer_info: Content of the file that --exportLayerInfo wrote; None without one.
    """
    descriptions = _descriptions(layer_info)
    count = next((int(entry["count"]) for entry in document if "count" in entry), 0)
    layers = []
    for entry in document:
        if "name" in entry and "averageMs" in entry:
            name = str(entry["name"])
            sources, kind = descriptions.get(name, ((), ""))
            milliseconds = float(entry.get("medianMs", entry["averageMs"]))
            layers.append(
                RecordedLayer(
                    name=name,
                    op_type=kind,
                    times=(1000 * milliseconds,),
                    sources=sources or tuple(_names(name)),
                    ends=None if sources else _ends(name),
                )
            )
    return RecordedProfile(TENSORRT, tuple(layers), count)


def _descriptions(layer_info: Any) -> dict[str, tuple[tuple[str, ...], str]]:
    """The ONNX nodes and the kind of each layer, as far as the layer information has them."""
    layers = layer_info.get("Layers", []) if isinstance(layer_info, dict) else []
    return {
        str(layer.get("Name", "")): (
            tuple(dict.fromkeys(_METADATA.findall(str(layer.get("Metadata", ""))))),
            str(layer.get("LayerType", "")),
        )
        for layer in layers
        if isinstance(layer, dict)
    }


def _names(name: str) -> Iterator[str]:
    """The ONNX nodes in the name of a layer.

    >>> list(_names("w + /a/Conv + PWN(PWN(/a/Sigmoid), /a/Mul)"))
    ['w', '/a/Conv', '/a/Sigmoid', '/a/Mul']
    """
    for part in _COPY.sub("", name).split(" + "):
        plain = part.strip()
        if _GROUP.match(plain):
            continue
        pointwise = "PWN(" in plain  # names of a nested group: PWN(PWN(a), b)
        for piece in plain.replace("PWN(", "").split(", "):
            node = piece.rstrip(")") if pointwise else piece
            if node:
                yield node
                if _CLONE.search(node):
                    yield _CLONE.sub("", node)


def _ends(name: str) -> tuple[str, str] | None:
    """The first and the last node of a group; None for a layer that is no group."""
    for part in _COPY.sub("", name).split(" + "):
        group = _GROUP.match(part.strip())
        if group:
            return group[1], group[2]
    return None
