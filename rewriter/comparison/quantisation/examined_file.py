"""One of the files of a comparison, ready to be examined module by module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.file_runner import FileRunner
from modelexport.rewriter.comparison.quantisation.exchanged_values import ValueForm
from modelexport.rewriter.comparison.quantisation.module_groups import Group, ModuleGroups
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.matching import Claim


@dataclass(frozen=True, eq=False)
class ExaminedFile:
    """One file, ready to be examined.

    Attributes:
        file: The file.
        runner: Runs it.
        feeds: What it is fed.
        group: The group of a node by its claim.
    """

    file: ComparedFile
    runner: FileRunner
    feeds: Feeds
    group: Callable[[Claim], Group]

    @cached_property
    def groups(self) -> ModuleGroups:
        """The groups of its nodes; modules that are the same have the same key in both files."""
        return ModuleGroups(self.file, self.group)

    def computed(self, name: str, form: ValueForm) -> tuple[str, ValueForm]:
        """The value that a module computes in the end, and its form.

        Args:
            name: The value, before it is quantised.
            form: How the file holds it.
        """
        settled = self.groups.settled.get(name)
        if settled is None:
            return name, form
        real = ValueForm(onnx.TensorProto.FLOAT, form.shape)
        return settled, self._integer_ends.get(settled, real)

    @cached_property
    def _integer_ends(self) -> dict[str, ValueForm]:
        """The forms of the values in `settled` that are integers."""
        reals = self.groups.quantised.by_real
        return self.forms([end for end in self.groups.settled.values() if end not in reals])

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """What modules compute in the end for some values, as real numbers."""
        return self.runner.values(names, self.feeds)

    def forms(self, names: Sequence[str]) -> dict[str, ValueForm]:
        """How the file holds some values; those that are no tensors are left out."""
        stored = self.runner.stored_values(names, self.feeds)
        return {
            name: ValueForm.of(array, self.runner.stored_scale(name))
            for name, array in stored.items()
        }
