"""Folders of adapters: the base model is traced with the adapter's layers in it."""

import json
import sys
import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from modelexport.errors import MissingExtraError, SourceError
from modelexport.hierarchy.record import read_record
from modelexport.tracer import load
from tests.helpers.commands import Run

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 40}
TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    config = AutoConfig.for_model("llama", **SIZES, **HEADS, **TOKENS)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def adapter(base: Path) -> Path:
    """An adapter that peft writes, with weights that are not zero."""
    peft = pytest.importorskip("peft", reason="make installs it: extra peft")
    model = AutoModelForCausalLM.from_pretrained(base)
    settings = peft.LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False)
    with warnings.catch_warnings():  # transformers warns of what peft reads
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.get_peft_model(model, settings)
    adapted.save_pretrained(base.parent / "adapter")
    return base.parent / "adapter"


def described(folder: Path, **settings: object) -> Path:
    """A folder that says that it is an adapter."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def test_the_adapter_is_a_part_of_the_tree(base: Path, run: Run, tmp_path: Path) -> None:
    """The file computes what peft's model computes; nodes of the adapter have its modules."""
    import onnxruntime as ort  # noqa: PLC0415 - only where peft is installed

    folder = adapter(base)
    target = tmp_path / "m.onnx"
    ran = run("export", folder, target, "--exporter", "torchscript", "--strict")
    assert (ran.code, ran.err) == (0, "")
    modules = {op.module for op in read_record(tmp_path / "m.trace.json").ops if op.module}
    assert any(".lora_A" in module for module in modules)
    loaded = load(str(folder))
    session = ort.InferenceSession(str(target))
    feeds = {value.name: loaded.inputs[value.name].numpy() for value in session.get_inputs()}
    (logits, *_) = session.run(None, feeds)
    with torch.no_grad():
        torch.testing.assert_close(
            torch.from_numpy(logits), loaded.model(**loaded.inputs).logits, rtol=1e-4, atol=1e-4
        )
        plain = AutoModelForCausalLM.from_pretrained(base)(**loaded.inputs).logits
    assert not torch.allclose(torch.from_numpy(logits), plain, atol=1e-3)


def test_without_the_package(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names it, and how to install it."""
    folder = described(tmp_path / "adapter", base_model_name_or_path=str(base))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"modelexport\[peft\]"):
        load(str(folder))


def test_what_is_missing_is_named(base: Path, tmp_path: Path, run: Run) -> None:
    """The base model, and the option that gives it; the option is for adapters alone."""
    nameless = described(tmp_path / "nameless")
    gone = described(tmp_path / "gone", base_model_name_or_path=str(tmp_path / "nowhere"))
    for folder in (nameless, gone):
        with pytest.raises(SourceError, match="--base-model"):
            load(str(folder))
    with pytest.raises(SourceError, match="adapters"):
        load(str(gone), weights=False)
    ran = run("trace", base, tmp_path / "m.onnx", "--base-model", base)
    assert (ran.code, "--base-model" in ran.err) == (2, True)
