"""What is measured beside other tools: the tasks, and who does each."""

from collections.abc import Mapping
from typing import NamedTuple

from peers import (
    OURS,
    WIDE,
    Contender,
    analyze,
    annotate,
    compare,
    copy,
    deep,
    extract,
    graphsurgeon_extract,
    graphsurgeon_load,
    graphsurgeon_names,
    large,
    load_one,
    load_two,
    onnx_extract,
    onnx_ir_load,
    onnx_ir_shapes,
    onnx_ir_strip,
    onnx_ir_tags,
    onnx_load,
    onnx_shapes,
    onnx_strip,
    onnx_tags,
    onnxruntime_optimised,
    onnxsim_simplified,
    strip,
    strip_wide,
    tracing,
)


class Task(NamedTuple):
    """Something that users do.

    Attributes:
        title: What it is, with the size of the file.
        contenders: Who does it, by name; the first is ours.
        rounds: How often each does it, in turns.
        has_limits: Whether ours must stay within `SECONDS` and `MEGABYTES`.
        warm: Whether each does it on the small files first, so that imports do not count.
    """

    title: str
    contenders: Mapping[str, Contender]
    rounds: int = 3
    has_limits: bool = False
    warm: bool = True


TASKS = {
    "annotate": Task(
        "annotate, {megabytes} MB embedded",
        {
            OURS: annotate,
            "plain copy": copy,
            "onnx load + save": onnx_tags,
            "onnx-ir load + save": onnx_ir_tags,
            "graphsurgeon load + save": graphsurgeon_names,
            "onnxruntime offline optimisation": onnxruntime_optimised,
            "onnxsim": onnxsim_simplified,
        },
    ),
    "strip": Task(
        "strip, {megabytes} MB embedded",
        {OURS: strip, "onnx load + save": onnx_strip, "onnx-ir load + save": onnx_ir_strip},
    ),
    "extract": Task(
        "extract a layer, {megabytes} MB embedded",
        {
            OURS: extract,
            "onnx.utils.extract_model": onnx_extract,
            "graphsurgeon": graphsurgeon_extract,
        },
    ),
    "analyze": Task(
        "analyze, {nodes:,} nodes",
        {
            OURS: analyze(WIDE),
            "onnx load + shape inference": onnx_shapes,
            "onnx-ir load + shape inference": onnx_ir_shapes,
        },
        rounds=1,
    ),
    "compare": Task(
        "compare, {nodes:,} nodes",
        {
            OURS: compare,
            "onnx: load two": load_two(onnx_load),
            "onnx-ir: load two": load_two(onnx_ir_load),
            "graphsurgeon: load two": load_two(graphsurgeon_load),
        },
        rounds=1,
    ),
    "strip wide": Task(
        "strip, {nodes:,} nodes",
        {OURS: strip_wide, "onnx: load one": load_one(onnx_load)},
        rounds=1,
    ),
    "trace": Task(
        "trace MiniLM, dynamo",
        {
            OURS: tracing(OURS),
            "transformers' export alone": tracing("transformers"),
            "torch.onnx.export alone": tracing("torch"),
        },
        rounds=1,
        warm=False,
    ),
    "deep": Task(
        "trace a llama of 80 layers",
        {OURS: deep("trace", 80), "modelexport, 2 layers": deep("trace", 2)},
        rounds=1,
        warm=False,
    ),
    "deep plain": Task(
        "trace a llama of 24 layers",
        {OURS: deep("trace", 24), "transformers' export alone": deep("plain", 24)},
        rounds=1,
        warm=False,
    ),
    **{
        f"large {command}": Task(
            f"{command}, 8 GB of external data", {OURS: large(command)}, 1, has_limits=True
        )
        for command in ("annotate", "analyze", "compare", "extract")
    },
}
"""All tasks."""
