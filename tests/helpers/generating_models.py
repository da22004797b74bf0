"""Tiny models that generate text, as folders, and what is traced of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from fixtures_gen.registry import randomized
from modelexport.hierarchy.export_config import TraceOptions
from modelexport.pipeline import trace_parts, trace_source

WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
TOKEN_IDS = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (AutoModelForCausalLM, WIDE | HEADS | TOKEN_IDS),
    "t5": (
        AutoModelForSeq2SeqLM,
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 64,
         "decoder_start_token_id": 0},
    ),
}  # fmt: skip


def text_model(name: str) -> nn.Module:
    """A tiny model that reads text alone."""
    factory, settings = MODELS[name]
    return factory.from_config(AutoConfig.for_model(name, **settings))


class GeneratingModels:
    """Folders of tiny models, and what was traced of them, each once.

    Args:
        place: The folder of these folders.
        build: Builds the model of a name; its weights are replaced by random ones.
    """

    def __init__(self, place: Path, build: Callable[[str], nn.Module] = text_model) -> None:
        self._place = place
        self._build = build
        self.model = cache(self._model)
        self.parts = cache(self._parts)
        self.one_file = cache(self._one_file)

    def _model(self, name: str) -> Path:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            model = randomized(self._build(name))
        model.save_pretrained(self._place / name)
        return self._place / name

    def _parts(self, name: str) -> Path:
        folder = self._place / f"{name}-parts"
        trace_parts(str(self.model(name)), folder, options=TraceOptions(exporter="torchscript"))
        return folder

    def _one_file(self, name: str) -> Path:
        path = self._place / f"{name}.onnx"
        options = TraceOptions(exporter="torchscript", task="text-generation-with-past")
        trace_source(str(self.model(name)), path, options=options)
        return path
