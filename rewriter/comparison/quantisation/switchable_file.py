"""A file in which each module is computed by the nodes of one file or by those of another.

Both files become one graph. Where both have a value, a switch chooses whose it is: that of the
quantised file, or that of the reference. A module that is left out of quantisation runs on the
reference's nodes, which read what the rest of the file computes. So any choice of modules is one
run of one session.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.exchanged_values import ValueForm, converted
from modelexport.rewriter.comparison.quantisation.module_groups import Group
from modelexport.rewriter.comparison.quantisation.needed_nodes import CycleError, needed_nodes
from modelexport.rewriter.comparison.quantisation.rewired_nodes import RewiredNodes
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.session import Session

_REFERENCE, _SWITCH, _CHOSEN, _OUTPUT = "reference/", "left-out/", "chosen/", "output/"
_QUANTISED = "quantised/"
"""What stands before the names of what is added: all of the reference, the switch of a module, a
value that a switch chose, an output, and the switch of a value's quantiser."""

_LARGEST_INLINE = 1 << 12
"""Bytes up to which a weight of the reference stands in the graph; larger ones are fed."""


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


class SwitchableFile:
    """Both files as one session.

    Args:
        reference: The reference.
        quantised: The quantised file.
        values: The values that both have.
        libraries: Custom operator libraries that onnxruntime loads.

    Attributes:
        modules: Keys of the modules that can be switched.

    Raises:
        RuntimeFailedError: onnxruntime does not load the graph.
    """

    def __init__(
        self,
        reference: ExaminedFile,
        quantised: ExaminedFile,
        values: Sequence[SharedValue],
        libraries: list[str],
    ) -> None:
        self._reference, self._quantised = reference, quantised
        values = list(values)
        while True:
            builder = _GraphBuilder(reference, quantised, values)
            try:
                nodes = builder.nodes()
            except CycleError as error:
                # the files compute these in different orders: one of them cannot be switched
                cycle = next(v for v in values if v.chosen in error.names)
                values.remove(cycle)
            else:
                break
        self.modules = builder.modules
        self._rounded = [*builder.rounded, *builder.passed_on]
        self._feeds = dict(quantised.feeds)
        model = self._model(nodes)
        source = session_source(quantised.file.container, model)
        self._session = Session(quantised.file.path, source=source, plain=True, libraries=libraries)

    def run(self, left_out: Collection[str]) -> dict[str, Array]:
        """The outputs of the quantised file when some modules are not quantised.

        Args:
            left_out: Keys of these modules.
        """
        switches = {_SWITCH + key: np.array(key in left_out) for key in self.modules}
        applies = self._quantised.groups.quantised.applies
        switches |= {_QUANTISED + n: np.array(applies(n, left_out)) for n in self._rounded}
        outputs = self._session.run(self._feeds | switches)
        return {name.removeprefix(_OUTPUT): value for name, value in outputs.items()}

    def _model(self, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
        whole = self._quantised.file.model
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        graph = model.graph
        del graph.node[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        names = (_OUTPUT + value.name for value in whole.graph.output)
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        switches = [
            *(_SWITCH + key for key in self.modules),
            *(_QUANTISED + n for n in self._rounded),
        ]
        graph.input.extend(
            helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, []) for name in switches
        )
        other = self._reference.file.model
        self._add_reference_inputs(graph, other)
        _add_domains(model, other)
        return model

    def _add_reference_inputs(self, graph: onnx.GraphProto, other: onnx.ModelProto) -> None:
        """Give the nodes of the reference their inputs and weights."""
        used = {name for node in graph.node for name in node.input}
        container = self._reference.file.container
        arrays = dict(self._reference.feeds)
        for weight in other.graph.initializer:
            if _REFERENCE + weight.name not in used and not _in_subgraphs(graph):
                continue
            array = container.array(weight)
            if array is None or array.nbytes <= _LARGEST_INLINE:
                copy = onnx.TensorProto()
                copy.CopyFrom(weight if array is None else numpy_helper.from_array(array))
                copy.name = _REFERENCE + weight.name
                graph.initializer.append(copy)
            else:
                arrays[weight.name] = array
        for name, array in arrays.items():
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(_REFERENCE + name, kind, array.shape))
            self._feeds[_REFERENCE + name] = array


class _GraphBuilder:
    """Builds the graph for some values that both files have."""

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
        prefixed = compose.add_prefix(copy, _REFERENCE, rename_functions=False)
        self._other = RewiredNodes(
            reference.groups,
            lambda name: f"{in_reference[name].chosen}/r" if name in in_reference else None,
            lambda name: in_reference[name].chosen if name in in_reference else None,
            list(prefixed.graph.node),
            _REFERENCE,
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
        ends = [helper.make_node("Identity", [results[n]], [_OUTPUT + n]) for n in outputs]
        switches = [node for value in self._values for node in self._switch(value)]
        inside = [self._quantised_inside(name) for name in self.passed_on]
        every = [*self._own.nodes, *self._other.nodes, *switches, *inside, *ends]
        return needed_nodes(every, [_OUTPUT + name for name in outputs])

    def _switch(self, value: SharedValue) -> Iterator[onnx.NodeProto]:
        real, name = value.real_form, value.chosen
        own, float_value = f"{name}/b", f"{name}/a"
        computed = self._quantised.computed(value.quantised, value.quantised_form)
        yield from converted(*computed, own, real)
        yield from converted(_REFERENCE + value.reference, value.reference_form, float_value, real)
        switch = _SWITCH + self._keys[value.quantised]
        yield helper.make_node("Where", [switch, float_value, own], [name])
        if value.quantised in self.rounded:
            yield from self._rounded_or_not(value)
            name = f"{name}/final"
        yield from converted(name, real, f"{value.chosen}/q", value.quantised_form)
        yield from converted(name, real, f"{value.chosen}/r", value.reference_form)

    def _quantised_inside(self, name: str) -> onnx.NodeProto:
        """A value inside a module, quantised if the value that is passed on to it is quantised."""
        value = self._quantised.groups.quantised.by_name[name]
        return helper.make_node("Where", [_QUANTISED + name, value.real, name], [_inside(name)])

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
        switch = _QUANTISED + value.quantised
        yield helper.make_node("Where", [switch, f"{name}/rounded", name], [f"{name}/final"])


def _inside(name: str) -> str:
    """What the nodes of a module read of a value that is passed on to it."""
    return f"{_CHOSEN}{name}/inside"


def _in_subgraphs(graph: onnx.GraphProto) -> bool:
    """Whether nodes have subgraphs, which may read any weight."""
    return any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute)


def _add_domains(model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Add the operator sets and functions of the reference."""
    versions = {entry.domain: entry for entry in model.opset_import}
    for entry in other.opset_import:
        if entry.domain not in versions:
            model.opset_import.append(entry)
        elif entry.version > versions[entry.domain].version:
            versions[entry.domain].version = entry.version
    functions = {(function.domain, function.name) for function in model.functions}
    model.functions.extend(f for f in other.functions if (f.domain, f.name) not in functions)
    model.ir_version = max(model.ir_version, other.ir_version)
