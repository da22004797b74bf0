"""Loading a model and its inputs from a factory, or from a Hugging Face folder or id."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from modelexport.errors import SourceError
from modelexport.hierarchy.export_config import InputRequest
from modelexport.hierarchy.source_names import (
    check_folder,
    is_adapter_folder,
    is_program_file,
    is_script_file,
    is_sentence_folder,
    parse_factory,
)
from modelexport.support.error_texts import first_line
from modelexport.support.progress import report_step
from modelexport.support.real_paths import real_path
from modelexport.tracer.sources.adapters import base_of_adapter, load_adapted
from modelexport.tracer.sources.example_inputs import factory_inputs, folder_inputs
from modelexport.tracer.sources.exported_programs import load_program
from modelexport.tracer.sources.factories import call_factory, find_factory
from modelexport.tracer.sources.generation.model_parts import step_with_past
from modelexport.tracer.sources.hub_models import reachable_source
from modelexport.tracer.sources.hugging_face import load_pretrained
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.scripts import interpret, load_script
from modelexport.tracer.sources.sentence_folders import load_embedder
from modelexport.tracer.sources.signature import Axes, Inputs
from modelexport.tracer.sources.transformers_models import is_transformers_model


@dataclass(frozen=True)
class Loaded:
    """A model, the inputs to run it on, and where it came from.

    Attributes:
        model: The model.
        inputs: Its inputs.
        origin: Where it came from.
        axes: The axes of the inputs that must be dynamic for the file to be of use.
    """

    model: nn.Module
    inputs: Inputs
    origin: Origin
    axes: Axes = field(default_factory=dict)


def load(
    source: str,
    *,
    task: str | None = None,
    request: InputRequest | None = None,
    attention: str | None = None,
    trust_remote_code: bool = False,
    weights: bool = True,
    with_past: bool = False,
    base_model: str | None = None,
) -> Loaded:
    """Load a model and make its inputs.

    Args:
        source: `package.module:factory`, `file.py:factory`, a TorchScript file, an exported
            program (`.pt2`), a folder of Hugging Face or sentence-transformers, or a hub id.
            A factory is a callable without required arguments. It returns a module, or a module
            and example inputs (a tuple of positional ones or a dictionary).
        task: The task of a Hugging Face model (`text-classification`), by which its architecture
            is chosen.
        request: Which inputs the model is to run on.
        attention: Attention implementation of a transformers model.
        trust_remote_code: Let a Hugging Face folder run its own code.
        weights: Load the weights; else the model is built on torch's meta device, without values.
        with_past: Whether a decoder reads the cache of the tokens before.
        base_model: Folder or hub id of the model that an adapter changes; None for the one that
            the adapter names.

    Raises:
        SourceError: The source cannot be found, imported or built; or it has no cache.
        InputsError: No inputs can be made.
    """
    if with_past and not weights:
        raise SourceError(f"{source}: the cache is found by a run, so it needs the weights.")
    loaded = _load(
        source,
        task,
        request or InputRequest(),
        attention,
        trust_remote_code=trust_remote_code,
        weights=weights,
        base_model=base_model,
    )
    if not with_past:
        return loaded
    report_step("generating")
    step = step_with_past(loaded.model, loaded.inputs)
    return replace(loaded, inputs=step.inputs, axes=step.axes)


def _load(
    source: str,
    task: str | None,
    request: InputRequest,
    attention: str | None,
    *,
    trust_remote_code: bool,
    weights: bool,
    base_model: str | None,
) -> Loaded:
    """Load a source of any kind; the arguments are those of `load`."""
    if is_adapter_folder(source):
        if not weights:
            raise SourceError(f"{source}: --no-weights is not for adapters, which are weights.")
        base = base_of_adapter(source, base_model)
        return _load_adapter(source, base, task, request, attention, trusted=trust_remote_code)
    if base_model is not None:
        raise SourceError(f"{source}: --base-model is for the folder of an adapter.")
    report_step(f"loading {source}")
    if (factory := parse_factory(source)) is not None:
        if task is not None:
            raise SourceError(f"{source}: --task is for Hugging Face models, this is a factory.")
        if request.text is not None:
            raise SourceError(
                f"{source}: --input-text is for Hugging Face models with a tokenizer."
            )
        with nullcontext() if weights else torch.device("meta"):
            model, inputs = call_factory(source, find_factory(source, *factory))
        return _load_from_factory(source, *factory, (model, inputs), request, attention)
    if is_script_file(source) or is_program_file(source):
        if not weights:
            raise SourceError(f"{source}: --no-weights is for models that are built, not files.")
        return _load_from_file(source, request, trusted=trust_remote_code)
    check_folder(source)
    if task is None and is_sentence_folder(source):
        if not weights:
            raise SourceError(
                f"{source}: --no-weights is not for folders of sentence-transformers; with --task "
                "feature-extraction it builds the transformer in this folder."
            )
        model, inputs = load_embedder(
            source, request, attention, trust_remote_code=trust_remote_code
        )
        return Loaded(model, inputs, Origin(_name(source)))
    location = reachable_source(source, f"{source}: it", "Give the folder of a model.")
    model = load_pretrained(
        location, task, attention, trust_remote_code=trust_remote_code, weights=weights
    )
    inputs = folder_inputs(location, model, request, trust_remote_code=trust_remote_code)
    return Loaded(model, inputs, Origin(_name(source), task))


def _name(source: str) -> str:
    """The name of a folder; a hub id as it is."""
    return real_path(Path(source)).name if Path(source).is_dir() else source


def _load_adapter(
    source: str,
    base: str,
    task: str | None,
    request: InputRequest,
    attention: str | None,
    *,
    trusted: bool,
) -> Loaded:
    check_folder(base)
    base = reachable_source(
        base, f"{source}: its base model {base}", "Give its folder with --base-model FOLDER."
    )
    model = load_adapted(source, base, task, attention, trust_remote_code=trusted)
    inputs = folder_inputs(base, model, request, trust_remote_code=trusted)
    return Loaded(model, inputs, Origin(_name(source), task))


def _load_from_factory(
    source: str,
    module: str,
    name: str,
    built: tuple[nn.Module, Inputs | None],
    request: InputRequest,
    attention: str | None,
) -> Loaded:
    model, inputs = interpret(built[0]), built[1]
    if attention is not None:
        _set_attention(source, model, attention)
    module_name = Path(module).name if module.endswith(".py") else module
    return Loaded(model, factory_inputs(model, inputs, request), Origin(f"{module_name}:{name}"))


def _load_from_file(source: str, request: InputRequest, *, trusted: bool) -> Loaded:
    if request.text is not None:
        raise SourceError(f"{source}: --input-text is for Hugging Face models with a tokenizer.")
    if is_program_file(source):
        model, inputs = load_program(source, trusted=trusted)
    else:
        model, inputs = interpret(load_script(source)), None
    return Loaded(model, factory_inputs(model, inputs, request), Origin(Path(source).name))


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
