"""What users would run instead: for each task, modelexport and its peers, as functions.

Each contender reads what stands in the task's folder, and writes its result there.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Contender = Callable[[Path], object]
"""Does the task in a folder; the files of the task are there."""

OURS = "modelexport"

EMBEDDED, WIDE, LARGE = "embedded.onnx", "wide.onnx", "large.onnx"
TAGGED, LARGE_TAGGED = "tagged.onnx", "large.tagged.onnx"
"""The embedded and the large file with our metadata."""

SECOND = "wide2.onnx"
OUT = "out.onnx"
BLOCK = "blocks.1"
"""The module that is extracted."""


def annotate(folder: Path) -> None:
    """Annotate the embedded file."""
    from modelexport.rewriter import annotate as run

    source = folder / EMBEDDED
    run(source, source.with_suffix(".trace.json"), folder / OUT, force=True)


def copy(folder: Path) -> None:
    """A plain copy: nothing that writes the file can take less."""
    import shutil

    shutil.copyfile(folder / EMBEDDED, folder / OUT)


def onnx_tags(folder: Path) -> None:
    """Load, add an entry to each node, save."""
    import onnx

    model = onnx.load(folder / EMBEDDED)
    for node in model.graph.node:
        node.metadata_props.add(key="hierarchy_tag", value="/Chain")
    onnx.save(model, folder / OUT)


def onnx_ir_tags(folder: Path) -> None:
    """The same with onnx-ir."""
    import onnx_ir

    model = onnx_ir.load(folder / EMBEDDED)
    for node in model.graph:
        node.metadata_props["hierarchy_tag"] = "/Chain"
    onnx_ir.save(model, folder / OUT)


def graphsurgeon_names(folder: Path) -> None:
    """Load, put a tag into each name (graphsurgeon keeps no metadata), save."""
    import onnx
    import onnx_graphsurgeon as gs

    graph = gs.import_onnx(onnx.load(folder / EMBEDDED))
    for node in graph.nodes:
        node.name = f"/Chain/{node.name}"
    onnx.save(gs.export_onnx(graph), folder / OUT)


def onnxruntime_optimised(folder: Path) -> None:
    """The basic optimisations, written to a file: tags do not survive all of them."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / OUT)
    options.log_severity_level = 4
    ort.InferenceSession(folder / EMBEDDED, options, providers=["CPUExecutionProvider"])


def onnxsim_simplified(folder: Path) -> None:
    """Simplify, without the check."""
    import onnx
    import onnxsim

    model, _ = onnxsim.simplify(str(folder / EMBEDDED), check_n=0)
    onnx.save(model, folder / OUT)


def strip(folder: Path) -> None:
    """Take our metadata out."""
    from modelexport.rewriter import strip as run

    run(folder / TAGGED, folder / OUT, force=True)


def onnx_strip(folder: Path) -> None:
    """Load, remove all metadata, save."""
    import onnx

    model = onnx.load(folder / TAGGED)
    for item in (model, *model.graph.node):
        del item.metadata_props[:]
    onnx.save(model, folder / OUT)


def onnx_ir_strip(folder: Path) -> None:
    """The same with onnx-ir."""
    import onnx_ir

    model = onnx_ir.load(folder / TAGGED)
    model.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
    onnx_ir.save(model, folder / OUT)


def extract(folder: Path) -> None:
    """One block as a file of its own."""
    from modelexport import extract as run

    run(folder / TAGGED, BLOCK, folder / OUT, force=True)


def onnx_extract(folder: Path) -> None:
    """The same by the names of values, which a user has to look up."""
    import onnx

    onnx.utils.extract_model(folder / TAGGED, folder / OUT, ["r0"], ["r1"], check_model=False)


def graphsurgeon_extract(folder: Path) -> None:
    """The same with graphsurgeon."""
    import numpy as np
    import onnx
    import onnx_graphsurgeon as gs

    graph = gs.import_onnx(onnx.load(folder / TAGGED))
    values = graph.tensors()
    graph.inputs, graph.outputs = [values["r0"]], [values["r1"]]
    graph.inputs[0].inputs.clear()
    for value in (*graph.inputs, *graph.outputs):
        value.dtype = np.float32
    onnx.save(gs.export_onnx(graph.cleanup()), folder / OUT)


def analyze(name: str) -> Contender:
    """Analyze a file."""

    def run(folder: Path) -> object:
        from modelexport.rewriter import analyze

        return analyze(folder / name)

    return run


def compare(folder: Path) -> object:
    """Compare two wide files."""
    from modelexport.rewriter import compare as run

    return run(folder / WIDE, folder / SECOND)


def strip_wide(folder: Path) -> object:
    """Take our metadata out of a wide file."""
    from modelexport.rewriter import strip as run

    return run(folder / WIDE, folder / OUT, force=True)


def onnx_shapes(folder: Path) -> object:
    """Load and infer shapes: what counting costs needs at least."""
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.load(folder / WIDE), data_prop=True)


def onnx_ir_shapes(folder: Path) -> object:
    """The same with onnx-ir."""
    import onnx_ir
    from onnx_ir.passes.common import ShapeInferencePass

    return ShapeInferencePass()(onnx_ir.load(folder / WIDE))


def load_one(load: Callable[[Path], object]) -> Contender:
    """Load a wide file."""
    return lambda folder: load(folder / WIDE)


def load_two(load: Callable[[Path], object]) -> Contender:
    """Load both wide files: what comparing needs at least."""
    return lambda folder: [load(folder / WIDE), load(folder / SECOND)]


def onnx_load(path: Path) -> object:
    """onnx.load."""
    import onnx

    return onnx.load(path)


def onnx_ir_load(path: Path) -> object:
    """onnx_ir.load."""
    import onnx_ir

    return onnx_ir.load(path)


def graphsurgeon_load(path: Path) -> object:
    """Graphsurgeon's import."""
    import onnx
    import onnx_graphsurgeon as gs

    return gs.import_onnx(onnx.load(path))


def large(command: str) -> Contender:
    """A command on the file with 8 GB of external data; it writes the graph alone."""

    def run(folder: Path) -> Any:
        import modelexport

        plain, tagged = folder / LARGE, folder / LARGE_TAGGED
        if command == "annotate":
            record = plain.with_suffix(".trace.json")
            return modelexport.annotate(plain, record, folder / OUT, force=True)
        if command == "analyze":
            return modelexport.analyze(tagged)
        if command == "compare":
            return modelexport.compare(tagged, tagged, run=False)
        return modelexport.extract(tagged, BLOCK, folder / OUT, force=True)

    return run


def tracing(kind: str) -> Contender:
    """Export a real MiniLM with dynamo, once before it counts; gives the CPU seconds itself."""

    def run(folder: Path) -> float:
        import torch

        import trace_overhead

        model, inputs = trace_overhead.models()["MiniLM"]
        exports: dict[str, Callable[[Path], object]] = {
            OURS: lambda out: trace_overhead.trace(
                model, inputs, out, exporter="dynamo", force=True
            ),
            "transformers": lambda out: trace_overhead.plain_dynamo(model, inputs, out),
            "torch": lambda out: torch.onnx.export(
                model, (), out, kwargs=inputs, dynamo=True, opset_version=18
            ),
        }
        seconds = 0.0
        for _ in range(2):
            start = time.process_time()
            exports[kind](folder / OUT)
            seconds = time.process_time() - start
        return seconds

    return run


def deep(kind: str, layers: int) -> Contender:
    """Export a llama of some layers; gives the CPU seconds itself."""

    def run(_: Path) -> float:
        import deep_models

        return deep_models.measure(kind, layers)

    return run
