"""Where models come from: a Hugging Face folder or id, or a factory in a module or a file."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from modelexport.errors import MissingExtraError, ModelExportError, SourceError
from modelexport.hierarchy.export_config import InputRequest
from modelexport.hierarchy.source_names import check_file, check_folder, parse_factory
from modelexport.support.error_texts import first_line
from modelexport.support.progress import report_step
from modelexport.tracer.sources.example_inputs import custom_inputs, folder_inputs
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.signature import Inputs
from modelexport.tracer.sources.transformers_models import is_transformers_model


@dataclass(frozen=True)
class Loaded:
    """A model and what it is to be run on."""

    model: nn.Module
    inputs: Inputs
    origin: Origin


def load(
    source: str,
    *,
    task: str | None = None,
    request: InputRequest | None = None,
    attention: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Load a model and make its inputs.

    Args:
        source: `package.module:factory`, `file.py:factory`, a Hugging Face folder or hub id.
            A factory is a callable without required arguments that returns a module, or a
            module and example inputs (a tuple of positional ones or a dictionary).
        task: Of a Hugging Face model: choose the architecture by task (`text-classification`).
        request: What the user asked of the inputs.
        attention: Attention implementation of a transformers model.
        trust_remote_code: Let a Hugging Face folder run its own code.

    Raises:
        SourceError: The source cannot be found, imported or built.
        InputsError: No inputs can be made.
    """
    request = request or InputRequest()
    report_step(f"loading {source}")
    if (factory := parse_factory(source)) is not None:
        if task is not None:
            raise SourceError(f"{source}: --task is for Hugging Face models, this is a factory.")
        if request.text is not None:
            raise SourceError(
                f"{source}: --input-text is for Hugging Face models with a tokenizer."
            )
        return _from_factory(source, *factory, request, attention)
    return _from_hugging_face(source, task, request, attention, trust_remote_code=trust_remote_code)


def _from_factory(
    source: str, module: str, name: str, request: InputRequest, attention: str | None
) -> Loaded:
    factory = _find(
        source, _import_file if module.endswith(".py") else _import_module, module, name
    )
    try:
        made = factory()
    except ModelExportError:
        raise
    except Exception as error:
        raise SourceError(
            f"{source}: the factory failed ({first_line(error, with_type=True)})."
        ) from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise SourceError(
            f"{source}: the factory gave a {type(model).__name__}, not a torch module "
            "(or a pair of a module and its example inputs)."
        )
    shown = f"{Path(module).name if module.endswith('.py') else module}:{name}"
    if attention is not None:
        _set_attention(source, model, attention)
    return Loaded(model, custom_inputs(model, inputs, request), Origin(shown))


def _set_attention(source: str, model: nn.Module, attention: str) -> None:
    if not is_transformers_model(model):
        raise SourceError(
            f"{source}: --attention is for models of transformers, this is a "
            f"{type(model).__name__}."
        )
    try:
        model.set_attn_implementation(attention)  # type: ignore[operator]
    except Exception as error:
        raise SourceError(
            f"{source}: it has no attention implementation {attention} "
            f"({first_line(error, with_type=True)})."
        ) from error


def _find(
    source: str, import_: Callable[[str], ModuleType], module: str, name: str
) -> Callable[[], Any]:
    try:
        found = getattr(import_(module), name, None)
    except ModelExportError:
        raise
    except Exception as error:
        raise SourceError(
            f"{source}: cannot be imported ({first_line(error, with_type=True)})."
        ) from error
    if found is None:
        raise SourceError(f"{source}: {module} has nothing called {name}.")
    if not callable(found):
        raise SourceError(f"{source}: {name} is a {type(found).__name__}, not a callable.")
    return found  # type: ignore[no-any-return]


def _import_module(name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _import_file(file: str) -> ModuleType:
    check_file(file)
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec.loader.exec_module(module)
    return module


def _from_hugging_face(
    source: str,
    task: str | None,
    request: InputRequest,
    attention: str | None,
    *,
    trust_remote_code: bool,
) -> Loaded:
    try:
        import transformers  # noqa: PLC0415 - heavy, and only some sources need it
    except ImportError as error:
        raise MissingExtraError(
            "Hugging Face models need transformers: pip install 'modelexport[trace]'."
        ) from error
    check_folder(source)
    path = Path(source)
    options = {"trust_remote_code": trust_remote_code}
    chosen = {} if attention is None else {"attn_implementation": attention}
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(source, **options)
        model = _architecture(transformers, config, task, source).from_pretrained(
            source, config=config, **chosen, **_accepted(config, options)
        )
    except ModelExportError:
        raise
    except Exception as error:
        raise SourceError(
            f"{source}: cannot be loaded ({first_line(error, with_type=True)})."
        ) from error
    finally:
        if shown:
            bars.enable_progress_bar()
    inputs = folder_inputs(source, model, request, trust_remote_code=trust_remote_code)
    return Loaded(model, inputs, Origin(path.resolve().name if path.is_dir() else source, task))


def _accepted(config: Any, options: dict[str, bool]) -> dict[str, bool]:
    return options if getattr(config, "auto_map", None) else {}


def _architecture(transformers: Any, config: Any, task: str | None, source: str) -> Any:
    """The class to load: by task, else the one the config names, else the base model."""
    if task is not None:
        from transformers.pipelines import PIPELINE_REGISTRY  # noqa: PLC0415 - see above

        try:
            _, found, _ = PIPELINE_REGISTRY.check_task(task)
        except KeyError as error:
            known = ", ".join(PIPELINE_REGISTRY.get_supported_tasks())
            raise SourceError(f"{source}: no task is called {task}; there are {known}.") from error
        classes = found["pt"]
        for auto in classes:
            if type(config) in auto._model_mapping:
                return auto
        raise SourceError(f"{source}: {type(config).__name__} has no architecture for {task}.")
    if not getattr(config, "auto_map", None):
        for name in getattr(config, "architectures", None) or ():
            if hasattr(transformers, name):
                return getattr(transformers, name)
    return transformers.AutoModel
