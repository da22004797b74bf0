"""Files that another builder wrote: onnxruntime-genai's, which makes decoders without an exporter.

The builder reads the folder of a model and writes the graph operator by operator, with fused
attention and a cache among the inputs. It is no part of the tools that every run needs:
`pip install --group builders` brings it. Without it, its rows say so.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from agreement.store import NotPossible
from fixtures_gen.onnx_values import Array

PROVIDERS = {"fp32": "cpu", "int4": "cpu", "fp16": "cuda"}
"""What a file of each precision is made for; each runs on the processor, too."""

_SECONDS = 300
"""Time that the builder may take for a small model."""


def build(model: nn.Module, precision: str, folder: Path) -> None:
    """Write the file of a model.

    Args:
        model: Of transformers.
        precision: One of `PROVIDERS`.
        folder: Gets `m.onnx`, and its weights beside it.

    Raises:
        NotPossible: The builder is not installed, or cannot make this model.
    """
    if find_spec("onnxruntime_genai") is None:
        raise NotPossible("onnxruntime-genai is not installed: pip install --group builders")
    if not hasattr(model, "save_pretrained"):
        raise NotPossible("it is no model of transformers")
    source, target = folder / "source", folder / "target"
    model.save_pretrained(source)
    _save_tokenizer(model.config.vocab_size, source)
    command = ["-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(target)]
    command += ["-p", precision, "-e", PROVIDERS[precision], "-c", str(folder / "cache")]
    ended = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if ended.returncode or not (target / "model.onnx").is_file():
        raise NotPossible((ended.stderr.strip().splitlines() or ["no file was written"])[-1])
    onnx.save(onnx.load(target / "model.onnx"), folder / "m.onnx")


def _save_tokenizer(words: int, folder: Path) -> None:
    """A tokenizer of made-up words, without which the builder takes no folder."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"w{number}": number for number in range(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))  # noqa: S106 - a word
    special = {"unk_token": "w0", "bos_token": "w1", "eos_token": "w2", "pad_token": "w0"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def with_empty_cache(folder: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs of a built file: the model's own, and a cache that holds nothing.

    Args:
        folder: Of the file.
        inputs: The model's inputs by name.
    """
    config = json.loads((folder / "target" / "genai_config.json").read_text())
    batch = len(next(iter(inputs.values())))
    head = config["model"]["decoder"]["head_size"]
    extents = {"batch_size": batch, "past_sequence_length": 0, "kv_cache_dim": head}
    feeds = {}
    for value in onnx.load(folder / "m.onnx", load_external_data=False).graph.input:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = [dim.dim_value or extents.get(dim.dim_param, 0) for dim in kind.shape.dim]
        array = inputs.get(value.name)
        feeds[value.name] = np.zeros(shape, dtype) if array is None else array.astype(dtype)
    return feeds
