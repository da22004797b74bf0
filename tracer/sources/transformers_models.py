"""What models of transformers need before they are exported.

Nothing here knows a model: what a model needs is asked of the model itself, at run time.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn


def is_transformers_model(model: nn.Module) -> bool:
    """Whether a model is one of transformers. Does not import transformers."""
    modeling = sys.modules.get("transformers.modeling_utils")
    return modeling is not None and isinstance(model, modeling.PreTrainedModel)


@contextmanager
def ready_for_export(model: nn.Module) -> Iterator[None]:
    """Settings under which a model of transformers can be exported while the body runs.

    It returns no caches, and the choice of experts does not become a constant of the graph.
    Other models are left alone.
    """
    with ExitStack() as stack:
        if is_transformers_model(model):
            configs = (getattr(module, "config", None) for module in model.modules())
            for config in {id(config): config for config in configs}.values():
                if getattr(config, "use_cache", False):
                    stack.enter_context(_attribute(config, "use_cache", value=False))
            stack.enter_context(_batched_experts(model))
        yield


@contextmanager
def _batched_experts(model: nn.Module) -> Iterator[None]:
    """Let mixture-of-experts layers run all experts in one batch, which no data decides."""
    if not getattr(model, "_can_set_experts_implementation", bool)():
        yield
        return
    before = model.get_experts_implementation()  # type: ignore[operator]
    model.set_experts_implementation("batched_mm")  # type: ignore[operator]
    try:
        yield
    finally:
        model.set_experts_implementation(before)  # type: ignore[operator]


@contextmanager
def _attribute(owner: object, name: str, *, value: object) -> Iterator[None]:
    """Set an attribute while the body runs."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
