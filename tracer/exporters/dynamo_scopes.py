"""The module and call of each node, from the metadata that torch's dynamo exporter writes.

`name_scopes` of a node ends in the name of its fx node. The `nn_module_stack` of that fx node has
the module path, and after an `@` which call of the module it was.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import cached_property

import torch
from torch import nn

from modelexport.hierarchy import keys
from modelexport.tracer.exporters.exported import Scope

_COUNTER = re.compile(r"@\d+(?=\.|$)")
"""The call counter of a module in a path."""

_LAST_COUNTER = re.compile(r"@(\d+)$")

_MIN_NAMES = 2
"""Minimum length of `name_scopes` with a module: the module's name and that of the fx node."""


class DynamoScopes:
    """Finds the scope of a node by its metadata.

    Args:
        program: What torch.export made of the model.
        model: The model.
    """

    def __init__(self, program: torch.export.ExportedProgram, model: nn.Module) -> None:
        self._program = program
        self._model = model
        self._paths = {path for path, _ in model.named_modules(remove_duplicate=False)}

    def scope(self, metadata: Mapping[str, str]) -> Scope | None:
        """The scope of one node; None when the metadata has none.

        The stack of its fx node gives it, else the last module in its name scopes.

        Args:
            metadata: The metadata entries of the node.
        """
        text = metadata.get(keys.TORCH_NAME_SCOPES)
        if text is None:
            return None
        names = ast.literal_eval(text)
        if len(names) < _MIN_NAMES:
            return None  # inside a branch or loop, where torch drops the modules
        scope = self._scopes_by_fx_node.get(names[-1])
        if scope is not None and (path := self._path(scope.module)) in self._paths:
            return Scope(path, scope.call)
        path = self._path(names[-2])
        return Scope(path) if path in self._paths else None

    def _path(self, path: str) -> str:
        """A module path without the call counters that torch.export may leave in it."""
        return path if path in self._paths else _COUNTER.sub("", path)

    @cached_property
    def _scopes_by_fx_node(self) -> dict[str, Scope]:
        """The scope of each fx node, by its name.

        torch counts the calls of a shared module separately under each of its paths. Here they
        are counted together, in the order in which they run.
        """
        scopes = self._counted_by_path()
        together = self._count_together(scopes.values())
        return {
            name: Scope(scope.module, together.get(scope, scope.call))
            for name, scope in scopes.items()
        }

    def _counted_by_path(self) -> dict[str, Scope]:
        scopes: dict[str, Scope] = {}
        for module in self._program.graph_module.modules():
            for node in getattr(module, "graph", self._program.graph).nodes:
                stack = node.meta.get("nn_module_stack")
                if stack:
                    key, (path, _) = next(reversed(stack.items()))
                    scopes[node.name] = Scope(path, self._call(key, path))
        return scopes

    def _call(self, key: str, path: str) -> int:
        """Which call of a module a key of `nn_module_stack` stands for."""
        counter = _LAST_COUNTER.search(key)
        in_name = counter is not None and path in self._paths and path.endswith(counter[0])
        return 0 if counter is None or in_name else int(counter[1])

    def _count_together(self, scopes: Collection[Scope]) -> dict[Scope, int]:
        """The number of each call of a module that runs under several paths."""
        first_paths: dict[nn.Module, str] = {}
        pairs = self._model.named_modules(remove_duplicate=False)
        canonical = {path: first_paths.setdefault(module, path) for path, module in pairs}
        calls: dict[str, dict[Scope, int]] = defaultdict(dict)
        for scope in scopes:
            path = canonical.get(self._path(scope.module), scope.module)
            calls[path].setdefault(scope, len(calls[path]))
        together: dict[Scope, int] = {}
        for numbers in calls.values():
            if len({scope.module for scope in numbers}) > 1:
                together |= numbers
        return together
