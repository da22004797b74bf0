"""Caches of decoders: two inputs for each layer, the same in every run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, Cache, DynamicCache, StaticCache

from modelexport.hierarchy.choices import RecordExporter
from modelexport.tracer import record, trace
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.sources.signature import bind_inputs
from tests.helpers.traced import open_session


def _decoder(**settings: Any) -> nn.Module:
    torch.manual_seed(14)
    config = AutoConfig.for_model(
        "llama", hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, vocab_size=32, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        **settings,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def _step(model: nn.Module, cache: Cache, past: int = 3) -> dict[str, Any]:
    """A decoding step of one token, with a cache of some tokens."""
    if past:
        with torch.no_grad():
            model(torch.arange(3, 3 + 2 * past).reshape(2, past), past_key_values=cache)
    return {
        "input_ids": torch.tensor([[5], [9]]),
        "attention_mask": torch.ones(2, past + 1, dtype=torch.long),
        "past_key_values": cache,
        "use_cache": True,
    }


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_cache_is_two_inputs_for_each_layer(exporter: str, tmp_path: Path) -> None:
    """They are read: the file computes with another cache what the model computes with it."""
    model = _decoder()
    inputs = _step(model, DynamicCache(config=model.config))
    traced = trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    session = open_session(traced.onnx_path)
    names = [value.name for value in session.get_inputs()]
    layers = range(model.config.num_hidden_layers)
    expected = [f"past_key_values.{n}.{part}" for n in layers for part in ("key", "value")]
    assert names == ["input_ids", "attention_mask", *expected]
    call = bind_inputs(model, inputs)
    for name in expected:
        call = call.with_tensor(name, call.tensors[name] * 2 + 1)
    (logits, *_) = run_model(model, call).values()
    feeds = {name: tensor.numpy() for name, tensor in call.tensors.items()}
    np.testing.assert_allclose(session.run(None, feeds)[0], logits.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [DynamicCache, StaticCache])
@pytest.mark.parametrize("past", [0, 3])
def test_a_cache_that_grows_is_the_same_in_every_run(
    kind: type[Cache], past: int, tmp_path: Path
) -> None:
    """The model changes a copy: the user's cache keeps its length and its values."""
    model = _decoder()
    options = {"max_cache_len": 8} if kind is StaticCache else {}
    inputs = _step(model, kind(config=model.config, **options), past)
    inputs |= {"attention_mask": None} if kind is StaticCache else {}
    call = bind_inputs(model, inputs)
    before = {name: tensor.clone() for name, tensor in call.tensors.items()}
    length = int(inputs["past_key_values"].get_seq_length())
    first, second = run_model(model, call), run_model(model, call)
    assert first
    assert all(torch.equal(first[name], second[name]) for name in first)
    record(model, inputs, tmp_path / "r.json", exporter=RecordExporter.EAGER)
    assert int(inputs["past_key_values"].get_seq_length()) == length
    assert before
    assert all(torch.equal(call.tensors[name], before[name]) for name in before)
