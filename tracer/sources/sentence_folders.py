"""Folders of sentence-transformers: a transformer, and the parts that make one vector of a text.

The model keeps its tree, whose children are the parts (`0`, `1` …). Only its forward changes: it
takes each tensor that the tokenizer makes by name, and returns the embedding.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modelexport.errors import SourceError
from modelexport.hierarchy.export_config import InputRequest
from modelexport.support.error_texts import first_line
from modelexport.support.extras import require_extra
from modelexport.tracer.sources.example_inputs import factory_inputs
from modelexport.tracer.sources.hugging_face import loading_problem, without_progress_bars
from modelexport.tracer.sources.signature import Inputs, flat_signature
from modelexport.tracer.sources.tokenized_inputs import example_texts

_FIRST_SAFE = 6
"""The first major version that runs a folder's own code only where the user trusts it."""

_SETTINGS = "config_sentence_transformers.json"
_EMBEDDING = "sentence_embedding"
"""What sentence-transformers calls the result among the features that its parts pass on."""


def load_embedder(
    source: str, request: InputRequest, attention: str | None, *, trust_remote_code: bool
) -> tuple[nn.Module, Inputs]:
    """Load a folder of sentence-transformers, and make inputs with its tokenizer.

    Args:
        source: The folder.
        request: Which inputs the user wants.
        attention: Attention implementation of the transformer; None for the default.
        trust_remote_code: Let the folder run its own code.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        SourceError: The folder holds another kind of model, or cannot be loaded.
        InputsError: No inputs can be made.
    """
    _check_kind(source)
    user = (
        f"{source}: a folder of sentence-transformers (to trace its transformer alone, give "
        "--task feature-extraction). It"
    )
    with require_extra("sentences", user):
        import sentence_transformers  # noqa: PLC0415 - heavy, and only some sources need it
    import transformers  # noqa: PLC0415 - see above

    if int(sentence_transformers.__version__.split(".")[0]) < _FIRST_SAFE:
        raise SourceError(
            f"{source}: sentence-transformers {sentence_transformers.__version__} runs code of "
            "folders unasked: pip install 'modelexport[sentences]' updates it."
        )
    with without_progress_bars(transformers.utils.logging):
        try:
            model: nn.Module = sentence_transformers.SentenceTransformer(
                source,
                device="cpu",
                trust_remote_code=trust_remote_code,
                local_files_only=not trust_remote_code,
                model_kwargs={} if attention is None else {"attn_implementation": attention},
            ).eval()
        except Exception as error:
            raise SourceError(f"{source}: {loading_problem(error)}") from error
    features = _features(source, model, request.text)
    inputs = {n: value for n, value in features.items() if isinstance(value, torch.Tensor)}
    _take_tensors_by_name(model, list(inputs), features)
    return model, factory_inputs(model, inputs, request)


def _check_kind(source: str) -> None:
    """Refuse models of sentence-transformers that do not make one vector of one text.

    Raises:
        SourceError: It is such a model, or its settings cannot be read.
    """
    file = Path(source) / _SETTINGS
    try:
        settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{file}: cannot be read ({first_line(error)}).") from error
    kind = settings.get("model_type") if isinstance(settings, Mapping) else None
    if kind not in (None, "SentenceTransformer"):
        raise SourceError(
            f"{source}: a {kind} of sentence-transformers; only a SentenceTransformer is traced "
            "whole. Give --task to trace the transformer in this folder, or write a factory, "
            "FILE.py:FUNCTION."
        )


def _features(source: str, model: Any, text: str | None) -> dict[str, Any]:
    """What the model's own tokenizer makes of a text; some of it may be settings, not tensors."""
    try:
        return dict(model.preprocess(example_texts(text)))
    except Exception as error:
        reason = first_line(error, with_type=True)
        raise SourceError(
            f"{source}: its first part reads no text ({reason}). Write a factory that returns "
            "the model and its inputs, FILE.py:FUNCTION."
        ) from error


def _take_tensors_by_name(model: nn.Module, names: list[str], features: dict[str, Any]) -> None:
    """Let a model take tensors by name and return the embedding, in place of one dictionary."""
    settings = {name: value for name, value in features.items() if name not in names}
    on_dictionary, signature = model.forward, flat_signature(names)

    def forward(*args: torch.Tensor, **kwargs: torch.Tensor) -> dict[str, torch.Tensor]:
        tensors = signature.bind(*args, **kwargs).arguments
        return {_EMBEDDING: on_dictionary({**settings, **tensors})[_EMBEDDING]}

    forward.__signature__ = signature  # type: ignore[attr-defined]
    model.forward = forward
