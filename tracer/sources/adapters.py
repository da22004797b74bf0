"""Folders of adapters (LoRA and others) that peft wrote: a base model, and layers put into it.

The base model keeps its tree and its class. The adapter's layers stand where peft puts them, inside
the modules that they change (`q_proj.lora_A.default`).
"""

import json
import warnings
from pathlib import Path
from typing import Any

from torch import nn

from modelexport.errors import ModelExportError, SourceError
from modelexport.hierarchy.source_names import ADAPTER_CONFIG
from modelexport.support.error_texts import first_line
from modelexport.support.extras import require_extra
from modelexport.tracer.sources.hugging_face import (
    load_pretrained,
    loading_problem,
    without_progress_bars,
)

_WEIGHTS = "adapter_model.safetensors"

_TASKS = {
    "CAUSAL_LM": "causal-lm",
    "SEQ_2_SEQ_LM": "seq2seq-lm",
    "SEQ_CLS": "text-classification",
    "TOKEN_CLS": "token-classification",
    "QUESTION_ANS": "question-answering",
    "FEATURE_EXTRACTION": "feature-extraction",
}
"""Names of tasks by those that peft writes."""


def base_of_adapter(source: str, base: str | None) -> str:
    """The folder or hub id of the model that an adapter changes.

    Args:
        source: The folder of the adapter.
        base: The one that the user gives; None for the one that the adapter names.

    Raises:
        SourceError: The adapter names none, or a folder that does not exist.
    """
    if base is not None:
        return base
    name = _settings(source).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise SourceError(f"{source}: the adapter names no base model: give --base-model FOLDER.")
    folder = Path(source) / name
    if (folder / "config.json").is_file():
        return str(folder)
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise SourceError(
            f"{source}: its base model {name} does not exist here: give --base-model FOLDER."
        )
    return name


def load_adapted(
    source: str, base: str, task: str | None, attention: str | None, *, trust_remote_code: bool
) -> nn.Module:
    """Load a base model, and the adapter of a folder into it.

    Args:
        source: The folder of the adapter.
        base: The folder or hub id of the base model.
        task: The task by which the architecture is chosen; None for that of the adapter.
        attention: Attention implementation of the base model.
        trust_remote_code: Let the folder of the base model run its own code.

    Raises:
        MissingExtraError: peft or transformers is not installed.
        SourceError: The base model or the adapter cannot be loaded.
    """
    with require_extra("peft", f"{source}: a folder of an adapter. It"):
        import peft  # noqa: F401, PLC0415 - only some sources need it
    if not (Path(source) / _WEIGHTS).is_file():
        raise SourceError(
            f"{source}: the adapter has no {_WEIGHTS}; other files of weights are pickled, and are "
            "not loaded. peft's save_pretrained writes safetensors."
        )
    own_task = _TASKS.get(str(_settings(source).get("task_type")))
    model: Any = load_pretrained(
        base, task or own_task, attention, trust_remote_code=trust_remote_code
    )
    from transformers.utils import logging  # noqa: PLC0415 - only some sources need it

    try:
        with (
            without_progress_bars(logging),
            warnings.catch_warnings(),
        ):  # of versions: users cannot do anything about them
            warnings.simplefilter("ignore", FutureWarning)
            model.load_adapter(source)
    except ModelExportError:
        raise
    except Exception as error:
        raise SourceError(f"{source}: as an adapter of {base}: {loading_problem(error)}") from error
    adapted: nn.Module = model.eval()
    return adapted


def _settings(source: str) -> dict[str, Any]:
    file = Path(source) / ADAPTER_CONFIG
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{file}: cannot be read ({first_line(error)}).") from error
    if not isinstance(settings, dict):
        raise SourceError(f"{file}: not the settings of an adapter.")
    return settings
