"""Puts a trace record together from what the exporter, the runtime and the eager run gave."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.choices import ScopeOrigin
from modelexport.hierarchy.fingerprints import (
    ValueFingerprint,
    WeightFingerprint,
    weight_fingerprint,
)
from modelexport.hierarchy.graph_paths import NodeKey, op_type, walk_graphs, walk_nodes
from modelexport.hierarchy.module_tree import Module, ModuleTree, Parameter, is_within
from modelexport.hierarchy.record import Op, Tensor
from modelexport.tracer.eager.dispatch import Watch, visible_modules
from modelexport.tracer.exporters.exported import Exported, Scope
from modelexport.tracer.records.parameters import ParameterIndex


def record_modules(model: nn.Module, watch: Watch, scopes: Iterable[Scope]) -> tuple[Module, ...]:
    """Every module under every path that leads to it.

    A module that nobody saw running, but that an exporter found ops in, ran unseen (inside
    a compiled script or a higher-order operator): its calls are unknown, not none.
    """
    first: dict[nn.Module, str] = {}
    pairs = list(model.named_modules(remove_duplicate=False))
    shared = {path: first.setdefault(module, path) for path, module in pairs}
    unseen = {shared.get(scope.module, scope.module) for scope in scopes} - set(watch.calls)
    owners: dict[torch.Tensor, str] = {}
    visible = {path for path, _ in visible_modules(model)}
    found = []
    for path, module in pairs:
        canonical = shared[path]
        calls = watch.calls[canonical] if canonical in visible else None
        found.append(
            Module(
                path=path,
                class_name=_class_name(module),
                python_module=type(module).__module__,
                alias_of=None if canonical == path else canonical,
                parameters=tuple(_own(module.named_parameters, canonical, owners)),
                buffers=tuple(_own(module.named_buffers, canonical, owners)),
                calls=None if canonical in unseen else calls,
                order=watch.order.get(canonical),
            )
        )
    return tuple(found)


def _class_name(module: nn.Module) -> str:
    """The class as its author named it, also when torch compiled the module to a script."""
    name = getattr(module, "original_name", None)
    return name if isinstance(name, str) else type(module).__name__


def _own(
    named: Callable[..., Iterator[tuple[str, torch.Tensor]]],
    path: str,
    owners: dict[torch.Tensor, str],
) -> Iterator[Parameter]:
    """The parameters or buffers of one module itself."""
    for name, tensor in named(recurse=False, remove_duplicate=False):
        qualified = f"{path}.{name}" if path else name
        owner = owners.setdefault(tensor, qualified)
        yield Parameter(
            name=name,
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            tied_to=None if owner == qualified else owner,
        )


def record_ops(
    exported: Exported,
    settled: Mapping[NodeKey, Scope],
    values: Mapping[tuple[str, str], ValueFingerprint],
    changed: Collection[str],
    tree: ModuleTree,
) -> tuple[Op, ...]:
    """Every node of the plain graph, subgraphs included.

    A node whose weights the exporter changed did so for another module's sake: the module
    whose values it computes, and the owner of the weight, are origins as well.
    """
    scopes = exported.scopes
    found = []
    for key, node in walk_nodes(exported.graph):
        scope = scopes.get(key) or settled.get(key)
        origins = {tree.owner(name) for name in node.input if name in changed} - {None}
        if key in settled:
            origins.add(settled[key].module)
        also = {o for o in origins if o is not None} - {scope.module} if scope else set()
        prints = tuple(values.get((key.graph, name)) for name in node.output)
        found.append(
            Op(
                graph=key.graph,
                index=key.position,
                name=node.name,
                op_type=op_type(node),
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                module=None if scope is None else tree.canonical(scope.module),
                call=0 if scope is None else scope.call,
                scope_from=(
                    ScopeOrigin.EXPORTER if key in scopes else ScopeOrigin.VALUES if scope else None
                ),
                also=tuple(sorted(also)),
                source=exported.sources.get(key),
                values=prints if any(prints) else (),
            )
        )
    return tuple(found)


def record_tensors(
    index: ParameterIndex,
    exported: Exported,
    scopes: Mapping[NodeKey, Scope],
    tree: ModuleTree,
    fingerprints: Mapping[tuple[str, str], WeightFingerprint | None],
) -> tuple[Tensor, ...]:
    """Every initializer with the parameter it holds.

    Of parameters with equal numbers, an initializer holds the one whose module uses it.
    """
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place in walk_graphs(exported.graph):
        for position, node in enumerate(place.graph.node):
            scope = scopes.get(NodeKey(place.path, position))
            if scope is not None:
                for name in node.input:
                    users[place.path, name].append(scope.module)
    found = []
    for graph, name, values in exported.initializers():
        candidates = index.candidates(name, values)
        used_in = users.get((graph, name), ())
        best = [c for c in candidates if any(_owns(tree, c, user) for user in used_in)]
        parameter = next(iter(best or candidates), None)
        found.append(Tensor(name, parameter, fingerprints[graph, name], graph))
    return tuple(found)


def record_absent(index: ParameterIndex, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Parameters and buffers that no initializer holds."""
    held = [tensor.parameter for tensor in tensors]
    return tuple(
        Tensor(name, name, weight_fingerprint(values)) for name, values in index.absent(held)
    )


def _owns(tree: ModuleTree, parameter: str, user: str) -> bool:
    owner = tree.owner(parameter)
    return owner is not None and is_within(owner, tree.canonical(user))


def weight_fingerprints(
    exported: Exported,
) -> dict[tuple[str, str], WeightFingerprint | None]:
    """The fingerprint of every initializer, by graph path and name."""
    return {
        (graph, name): weight_fingerprint(
            # types that numpy itself does not know (bfloat16, float8) are compared as numbers
            values if values.dtype.kind in "fiub" else values.astype(np.float32)
        )
        for graph, name, values in exported.initializers()
    }
