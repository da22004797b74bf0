"""What deep models cost: `trace` by the dynamo exporter over the number of equal layers.

Each export runs in a process of its own. `--plain` also runs what a user would run instead, the
exporter of transformers, which is slow from about 24 layers on.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTH = 64


def main() -> None:
    """Measure and print one line for each number of layers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 8, 24, 80])
    parser.add_argument("--plain", action="store_true", help="also time the plain export")
    parser.add_argument("--one", choices=["trace", "plain"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(options.one, options.layers[0]))
        return
    kinds = ["trace", "plain"] if options.plain else ["trace"]
    print(f"| layers | {' | '.join(f'{kind} s | times the first' for kind in kinds)} |")
    print("|---|" + "---|---|" * len(kinds))
    first: dict[str, float] = {}
    for layers in options.layers:
        cells = []
        for kind in kinds:
            command = [sys.executable, __file__, "--one", kind, "--layers", str(layers)]
            seconds = float(subprocess.check_output(command, text=True).split()[-1])
            first.setdefault(kind, seconds)
            cells.append(f"{seconds:.1f} | {seconds / first[kind]:.1f}")
        print(f"| {layers} | {' | '.join(cells)} |", flush=True)


def measure(kind: str, layers: int) -> float:
    """Seconds of CPU for one export of a decoder with that many layers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from modelexport.tracer import trace
    from trace_overhead import plain_dynamo

    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "vocab_size": 256}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": layers}
    config = AutoConfig.for_model("llama", **sizes, **heads, use_cache=False)
    model = AutoModelForCausalLM.from_config(config).eval()
    inputs = {"input_ids": torch.arange(8).reshape(1, 8)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        start = time.process_time()
        if kind == "trace":
            trace(model, inputs, out, exporter="dynamo")
        else:
            plain_dynamo(model, inputs, out)
        return time.process_time() - start


if __name__ == "__main__":
    main()
