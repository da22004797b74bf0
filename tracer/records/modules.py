"""The modules of a record: every module under every path, with its parameters and calls."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from modelexport.hierarchy.module_tree import Module, Parameter
from modelexport.tracer.eager.module_tracker import ModuleTracker, hookable_modules
from modelexport.tracer.exporters.exported import Scope


def record_modules(
    model: nn.Module, tracker: ModuleTracker, scopes: Iterable[Scope] = ()
) -> tuple[Module, ...]:
    """Every module under every path that leads to it.

    A module may run where no hook sees it: in a compiled script or a higher-order operator. When
    an exporter found operators in a module whose calls were not seen, their number is unknown,
    not 0.

    Args:
        model: The model.
        tracker: The calls of modules in a run.
        scopes: The scopes that an exporter gave.
    """
    first_paths: dict[nn.Module, str] = {}
    pairs = list(model.named_modules(remove_duplicate=False))
    canonical_paths = {path: first_paths.setdefault(module, path) for path, module in pairs}
    exported = {canonical_paths.get(scope.module, scope.module) for scope in scopes}
    countable = {path for path, _ in hookable_modules(model)} - (exported - set(tracker.calls))
    owners: dict[torch.Tensor, str] = {}
    modules = []
    for path, module in pairs:
        canonical = canonical_paths[path]
        modules.append(
            Module(
                path=path,
                class_name=_class_name(module),
                python_module=type(module).__module__,
                alias_of=None if canonical == path else canonical,
                parameters=tuple(_own_tensors(module.named_parameters, canonical, owners)),
                buffers=tuple(_own_tensors(module.named_buffers, canonical, owners)),
                calls=tracker.calls[canonical] if canonical in countable else None,
                order=tracker.order.get(canonical),
            )
        )
    return tuple(modules)


def _class_name(module: nn.Module) -> str:
    """The name of the class in its source, also when torch compiled the module to a script."""
    name = getattr(module, "original_name", None)
    return name if isinstance(name, str) else type(module).__name__


def _own_tensors(
    named: Callable[..., Iterator[tuple[str, torch.Tensor]]],
    path: str,
    owners: dict[torch.Tensor, str],
) -> Iterator[Parameter]:
    """The parameters or buffers of one module, without those of its children.

    Args:
        named: The module's `named_parameters` or `named_buffers`.
        path: Path of the module.
        owners: Qualified name of the first parameter for each tensor; new tensors are added.
    """
    for name, tensor in named(recurse=False, remove_duplicate=False):
        qualified = f"{path}.{name}" if path else name
        owner = owners.setdefault(tensor, qualified)
        yield Parameter(
            name=name,
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            tied_to=None if owner == qualified else owner,
        )
