"""The profiles of openvino's benchmark_app: its CSV, its JSON and its execution graph.

Layers have the names of ONNX nodes. The execution graph also lists all nodes that a layer runs,
and the layers that it reads. In the others, the name of a change of type or layout has the names of
the layers on both sides: `a_f32_bf16_b` stands between `a` and `b`.
"""

import csv
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from modelexport.rewriter.profiling.recorded_profile import (
    RecordedLayer,
    RecordedProfile,
    executed_predecessors,
)

CSV_HEAD = "layerName;execStatus;layerType;execType;realTime (ms)"
_REORDER = "Reorder"
"""The kind of a layer that changes the type or the layout of a value."""
_SPLIT_OFF = "/WithoutBiases"
"""What openvino adds to the name of an operator from which it split the bias."""


def is_openvino_json(document: Any) -> bool:
    """Whether a JSON document is a report with counters of each layer."""
    return isinstance(document, dict) and isinstance(document.get("detailed_performance"), list)


def read_openvino_csv(text: str) -> RecordedProfile:
    """Read the CSV of detailed counters."""
    rows = csv.DictReader(text.splitlines(), delimiter=";")
    entries = (
        (row["layerName"], row["layerType"], row["execStatus"], row["realTime (ms)"])
        for row in rows
        if row.get("realTime (ms)") and row.get("execStatus")
    )
    return _profile(entries, 1)


def read_openvino_json(document: Any) -> RecordedProfile:
    """Read the JSON of detailed counters; each request that it holds counts as a run."""
    requests = document["detailed_performance"]
    entries = (
        (node["name"], node["node_type"], node["status"], node["real_time"])
        for request in requests
        for node in request.get("nodes", ())
    )
    return _profile(entries, len(requests))


def _profile(entries: Iterable[tuple[str, str, str, str]], runs: int) -> RecordedProfile:
    """A profile of rows with name, kind, status and milliseconds."""
    kinds: dict[str, str] = {}
    times: dict[str, list[float]] = {}
    names: set[str] = set()
    for name, kind, status, milliseconds in entries:
        names.add(name)
        if status.rpartition(".")[2] == "EXECUTED":
            kinds[name] = kind
            times.setdefault(name, []).append(1000 * float(milliseconds))
    complete = min(map(len, times.values()), default=0)
    reads: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        if kind == _REORDER and (sides := _sides(name, names)) is not None:
            reads.setdefault(name, []).append(sides[0])
            reads.setdefault(sides[1], []).append(name)
    layers = tuple(
        RecordedLayer(
            name,
            kind,
            tuple(times[name][:complete]),
            sources=source_names(name),
            predecessors=tuple(reads.get(name, ())),
        )
        for name, kind in kinds.items()
    )
    return RecordedProfile("openvino", layers, runs)


def _sides(name: str, names: Collection[str]) -> tuple[str, str] | None:
    """The layers between which a change of type or layout stands; None where its name has none.

    The longest names count: `a_1_f32_bf16_b` is behind `a_1`, not behind `a`.
    """
    steps = name.split("_")
    befores = (n for n in range(len(steps) - 1, 0, -1) if "_".join(steps[:n]) in names)
    afters = (n for n in range(1, len(steps)) if "_".join(steps[n:]) in names)
    before, after = next(befores, None), next(afters, None)
    if before is None or after is None or before >= after:
        return None
    return "_".join(steps[:before]), "_".join(steps[after:])


def source_names(name: str, originals: str = "") -> tuple[str, ...]:
    """The ONNX nodes of a layer, by its name and by the list of nodes that were fused into it.

    >>> source_names("/a/MatMul/WithoutBiases", "/a/MatMul,/a/Add")
    ('/a/MatMul', '/a/Add')
    """
    names = originals.split(",") if originals else [name]
    return tuple(dict.fromkeys(part.strip().removesuffix(_SPLIT_OFF) for part in names))


def is_openvino_graph(root: Element) -> bool:
    """Whether an XML document is an execution graph."""
    return root.tag == "net" and any("execTimeMcs" in data.attrib for data in root.iter("data"))


def read_openvino_graph(root: Element) -> RecordedProfile:
    """Read an execution graph."""
    names = {layer.get("id"): layer.get("name", "") for layer in root.iter("layer")}
    reads: dict[str, list[str]] = {}
    for edge in root.iter("edge"):
        reader = names.get(edge.get("to-layer"), "")
        reads.setdefault(reader, []).append(names.get(edge.get("from-layer"), ""))
    layers = sorted(_executed(root), key=lambda pair: pair[0])
    executed = executed_predecessors(reads, {layer.get("name", "") for _, layer, _ in layers})
    return RecordedProfile(
        "openvino",
        tuple(
            RecordedLayer(
                name=layer.get("name", ""),
                op_type=layer.get("type", ""),
                times=(float(data["execTimeMcs"]),),
                sources=source_names(layer.get("name", ""), data.get("originalLayersNames", "")),
                predecessors=executed[layer.get("name", "")],
                provider=data.get("primitiveType", ""),
            )
            for _, layer, data in layers
        ),
        0,
    )


def _executed(root: Element) -> Iterator[tuple[int, Element, dict[str, str]]]:
    """The layers that were executed, each with its position in the order of execution."""
    for layer in root.iter("layer"):
        data = layer.find("data")
        attributes = {} if data is None else data.attrib
        if attributes.get("execTimeMcs", "not_executed").replace(".", "", 1).isdigit():
            yield int(attributes.get("execOrder", "0")), layer, attributes
