"""Loading models of transformers from a Hugging Face folder or hub id."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from modelexport.errors import ModelExportError, SourceError
from modelexport.support.error_texts import first_line
from modelexport.support.extras import require_extra
from modelexport.tracer.sources.tasks import architectures_for_task, tasks_of


def load_pretrained(
    source: str,
    task: str | None,
    attention: str | None,
    *,
    trust_remote_code: bool,
    weights: bool = True,
) -> nn.Module:
    """Load a model.

    Args:
        source: Folder or hub id.
        task: The task by which the architecture is chosen; None for the one in the configuration.
        attention: Attention implementation; None for the default.
        trust_remote_code: Let the folder run its own code.
        weights: Load its weights; else the model is on the meta device, and only its configuration
            is read.

    Raises:
        MissingExtraError: transformers is not installed.
        SourceError: The model cannot be loaded, or has no architecture for the task.
    """
    with require_extra("trace", "Loading Hugging Face models"):
        import transformers  # noqa: PLC0415 - heavy, and only some sources need it
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    with without_progress_bars(transformers.utils.logging), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters is an error
        try:
            config = transformers.AutoConfig.from_pretrained(source, **options)
            if not _has_own_code(config):
                options = {}  # classes of transformers itself do not know this option
            if attention is not None:
                options["attn_implementation"] = attention
            architecture = _choose_architecture(transformers, config, task, source)
            if not weights:
                return _without_weights(architecture, config, options)
            return _with_weights(architecture, source, config, options)
        except ModelExportError:
            raise
        except Exception as error:
            raise SourceError(f"{source}: {loading_problem(error)}") from error


def loading_problem(error: Exception) -> str:
    """Why a model cannot be loaded, and which option of ours allows it.

    transformers and torch name options of theirs, and advise to switch off what keeps users safe.
    """
    text = str(error)
    if "trust_remote_code" in text:
        return (
            "it brings code of its own, which is not run unless you allow it. Read the code; "
            "if you trust it, give --trust-remote-code."
        )
    if "weights_only" in text or "torch.load" in text:
        return (
            "its weights are pickled, and hold more than plain tensors: loading them would run "
            "code that the file brings. Ask its author for safetensors, or convert it where "
            "nothing can be harmed (model.save_pretrained writes safetensors)."
        )
    return f"cannot be loaded ({first_line(error, with_type=True)})."


def _is_about_safety(error: Exception) -> bool:
    """Whether a library refuses something that may be unsafe, and advises to allow it."""
    return any(word in str(error) for word in ("trust_remote_code", "weights_only", "torch.load"))


def _with_weights(
    architecture: Any, source: str, config: Any, options: dict[str, Any]
) -> nn.Module:
    try:
        return architecture.from_pretrained(source, config=config, **options)  # type: ignore[no-any-return]
    except OSError as error:
        if _is_about_safety(error):
            raise
        reason = first_line(error, with_type=True)
        raise SourceError(
            f"{source}: its weights cannot be loaded ({reason}). To trace its structure from the "
            "configuration alone, use --no-weights."
        ) from error


def _without_weights(architecture: Any, config: Any, options: dict[str, Any]) -> nn.Module:
    """Build a model on the meta device, in the type that its configuration names."""
    if (dtype := getattr(config, "dtype", None)) is not None:
        options = {**options, "dtype": dtype}
    build = getattr(architecture, "from_config", None) or architecture._from_config
    with torch.device("meta"):
        return build(config, **options)  # type: ignore[no-any-return]


@contextmanager
def without_progress_bars(logging: Any) -> Iterator[None]:
    """Hide the progress bars of transformers.

    Args:
        logging: The module `transformers.utils.logging`.
    """
    were_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_enabled:
            logging.enable_progress_bar()


def _has_own_code(config: Any) -> bool:
    """Whether the folder of a configuration brings its own classes."""
    return bool(getattr(config, "auto_map", None))


def _choose_architecture(transformers: Any, config: Any, task: str | None, source: str) -> Any:
    """The class to load: by task, else the one in the configuration, else the base model."""
    if task is not None:
        return _architecture_for_task(config, task, source)
    if not _has_own_code(config):
        for name in getattr(config, "architectures", None) or ():
            if hasattr(transformers, name):
                return getattr(transformers, name)
    return transformers.AutoModel


def _architecture_for_task(config: Any, task: str, source: str) -> Any:
    own = getattr(config, "auto_map", None) or {}
    for architecture in architectures_for_task(task, source):
        if type(config) in architecture._model_mapping or architecture.__name__ in own:
            return architecture
    others = ", ".join(tasks_of(config))
    raise SourceError(
        f"{source}: {type(config).__name__} has no architecture for {task}; it has some for "
        f"{others or 'no task'}."
    )
