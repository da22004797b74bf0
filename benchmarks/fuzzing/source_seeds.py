"""Small good sources of models in torch: Hugging Face folders, an adapter, code, a script."""

import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

_SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 40}
_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_CODE = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


def make():
    return Net(), (torch.ones(2, 8),)
"""
_CONFIG = {
    "inputs": {"input_ids": {"shape": [1, 6], "dtype": "int64", "range": [0, 40]}},
    "input_text": "some words",
    "exporter": "torchscript",
    "opset": 17,
}


def write_source_seeds(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("llama", **_SIZES, **_HEADS, **_TOKENS)
    )
    model.save_pretrained(folder / "net")
    model.save_pretrained(folder / "sharded", max_shard_size="8KB")
    _write_tokenizer(folder / "net")
    _write_adapter(folder / "adapter", model)
    (folder / "net.py").write_text(_CODE)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU())).save(folder / "net.pt")


def _write_tokenizer(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "</s>", "some", "words", "the", "model", ".", ","]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": words[0], "unk_token": words[1], "eos_token": words[2]}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def _write_adapter(folder: Path, model: nn.Module) -> None:
    """An adapter of rank 2 for the attention, as peft writes it."""
    folder.mkdir()
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "net",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    weights = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear) and path.endswith(("q_proj", "v_proj")):
            name = f"base_model.model.{path}.lora"
            weights[f"{name}_A.weight"] = torch.randn(2, module.in_features)
            weights[f"{name}_B.weight"] = torch.randn(module.out_features, 2)
    save_file(weights, folder / "adapter_model.safetensors", {"format": "pt"})
