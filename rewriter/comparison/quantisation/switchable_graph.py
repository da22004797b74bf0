"""The graph of two files, with a switch for each module: the nodes of which file compute it.

Both files become one graph. If both have a value, a switch chooses one of the two: that of the
quantised file, or that of the reference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnx import compose, helper

from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.exchanged_values import ValueForm, converted
from modelexport.rewriter.comparison.quantisation.module_groups import Group
from modelexport.rewriter.comparison.quantisation.needed_nodes import needed_nodes
from modelexport.rewriter.comparison.quantisation.rewired_nodes import RewiredNodes

REFERENCE, SWITCH, _CHOSEN, OUTPUT = "reference/", "left-out/", "chosen/", "output/"
QUANTISED = "quantised/"
"""Prefixes of the names that are added: for all of the reference, the switch of a module, a value
that a switch chose, an output, and the switch of a value's quantiser."""


@dataclass(frozen=True)
class SharedValue:
    """A value that both files have.

    Attributes:
        reference, quantised: Its name in each file.
        reference_form, quantised_form: How each file holds it.
    """

    reference: str
    quantised: str
    reference_form: ValueForm
    quantised_form: ValueForm

    @property
    def chosen(self) -> str:
        """Name of the chosen value, as real numbers."""
        return _CHOSEN + self.quantised

    @property
    def real_form(self) -> ValueForm:
        """The form in which one of both is chosen."""
        return ValueForm(onnx.TensorProto.FLOAT, self.quantised_form.shape)


class SwitchableGraph:
    """The graph for some values that both files have.

    Args:
        reference: The reference.
        quantised: The quantised file.
        values: The values that both have.

    Attributes:
        modules: Keys of the modules that can be switched.
        rounded: Values whose quantiser can be switched.
        passed_on: Values that are quantised because the values they are computed from are.
    """

    def __init__(
        self, reference: ExaminedFile, quantised: ExaminedFile, values: Sequence[SharedValue]
    ) -> None:
        self._quantised = quantised
        by_name = {v.quantised: v for v in values}
        self._keys = {
            name: group.key
            for name in by_name
            if (group := quantised.groups.producer_group(name)) is not None
        }
        self._values = [v for v in values if v.quantised in self._keys]
        self.modules = list(dict.fromkeys(self._keys.values()))
        quantised_values = quantised.groups.quantised.by_name
        self.rounded = [v.quantised for v in self._values if v.quantised in quantised_values]
        self.passed_on = [
            name
            for name in quantised_values
            if name not in self._keys and quantised.groups.quantised.is_passed_on(name)
        ]
        in_quantised = {v.quantised: v for v in self._values}
        in_reference = {v.reference: v for v in self._values}
        rounded = {v.reference for v in self._values if v.quantised in quantised_values}
        self._own = RewiredNodes(
            quantised.groups,
            lambda name: f"{in_quantised[name].chosen}/q" if name in in_quantised else None,
            lambda name: in_quantised[name].chosen if name in in_quantised else None,
            list(quantised.groups.graph.nodes),
            replace_quantised=lambda name: (
                f"{in_quantised[name].chosen}/q" if name in in_quantised else None
            ),
            replace_inside=lambda name: _inside(name) if name in self.passed_on else None,
        )
        copy = onnx.ModelProto()
        copy.CopyFrom(reference.file.model)
        prefixed = compose.add_prefix(copy, REFERENCE, rename_functions=False)
        self._other = RewiredNodes(
            reference.groups,
            lambda name: f"{in_reference[name].chosen}/r" if name in in_reference else None,
            lambda name: in_reference[name].chosen if name in in_reference else None,
            list(prefixed.graph.node),
            REFERENCE,
            replace_inside=lambda name: (
                f"{in_reference[name].chosen}/r" if name in rounded else None
            ),
        )

    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes that the outputs need, in an order in which they can run.

        Raises:
            CycleError: There is no such order.
        """
        outputs = [value.name for value in self._quantised.file.model.graph.output]
        outside = Group("<outputs>")
        results = {name: self._own.resolve(name, outside) for name in outputs}
        ends = [helper.make_node("Identity", [results[n]], [OUTPUT + n]) for n in outputs]
        switches = [node for value in self._values for node in self._switch(value)]
        inside = [self._quantised_inside(name) for name in self.passed_on]
        every = [*self._own.nodes, *self._other.nodes, *switches, *inside, *ends]
        return needed_nodes(every, [OUTPUT + name for name in outputs])

    def _switch(self, value: SharedValue) -> Iterator[onnx.NodeProto]:
        real, name = value.real_form, value.chosen
        own, float_value = f"{name}/b", f"{name}/a"
        computed = self._quantised.computed(value.quantised, value.quantised_form)
        yield from converted(*computed, own, real)
        yield from converted(REFERENCE + value.reference, value.reference_form, float_value, real)
        switch = SWITCH + self._keys[value.quantised]
        yield helper.make_node("Where", [switch, float_value, own], [name])
        if value.quantised in self.rounded:
            yield from self._rounded_or_not(value)
            name = f"{name}/final"
        yield from converted(name, real, f"{value.chosen}/q", value.quantised_form)
        yield from converted(name, real, f"{value.chosen}/r", value.reference_form)

    def _quantised_inside(self, name: str) -> onnx.NodeProto:
        """A value inside a module, quantised if the value that is passed on to it is quantised."""
        value = self._quantised.groups.quantised.by_name[name]
        return helper.make_node("Where", [QUANTISED + name, value.real, name], [_inside(name)])

    def _rounded_or_not(self, value: SharedValue) -> Iterator[onnx.NodeProto]:
        """Quantise a chosen value as the file does, where a module needs that."""
        name, form, groups = value.chosen, value.quantised_form, self._quantised.groups
        yield from converted(name, value.real_form, f"{name}/0", form)
        quantiser = groups.quantised.by_name[value.quantised]
        for number, position in enumerate((quantiser.quantise, quantiser.dequantise)):
            node = onnx.NodeProto()
            node.CopyFrom(groups.graph.nodes[position])
            node.name = ""
            node.input[0], node.output[0] = f"{name}/{number}", f"{name}/{number + 1}"
            yield node
        yield from converted(f"{name}/2", form, f"{name}/rounded", value.real_form)
        switch = QUANTISED + value.quantised
        yield helper.make_node("Where", [switch, f"{name}/rounded", name], [f"{name}/final"])


def _inside(name: str) -> str:
    """What the nodes of a module read of a value that is passed on to it."""
    return f"{_CHOSEN}{name}/inside"
