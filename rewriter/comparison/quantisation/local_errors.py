"""The error that each module of a quantised file adds by itself.

The file runs once more, rewired: whatever a module reads from another one has the exact numbers,
those of the reference. So an error that one module adds reaches no other.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from modelexport.hierarchy.fingerprints import Array, standard_type
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.comparison.differences import Errors, measure_errors, without_masked
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.exchanged_values import ValueForm, converted
from modelexport.rewriter.comparison.quantisation.module_groups import Group
from modelexport.rewriter.comparison.quantisation.needed_nodes import needed_nodes
from modelexport.rewriter.comparison.quantisation.rewired_nodes import RewiredNodes
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.session import Session

_INPUT, _EXACT, _EXACT_REAL, _REAL = "given/", "exact/", "exact-real/", "real/"
"""What stands before the names of values that the rewired file gets: exact ones as they are given,
in the form of the file, and as real numbers; and what the file computes as real numbers."""


@dataclass(frozen=True)
class LocalError:
    """The errors of a value when the group that computes it reads exact numbers.

    Attributes:
        name: The value.
        group: The group.
        errors: Its errors against the exact value.
    """

    name: str
    group: Group
    errors: Errors


def local_errors(
    quantised: ExaminedFile,
    exact: Mapping[str, Array],
    forms: Mapping[str, ValueForm],
    libraries: list[str],
) -> dict[str, LocalError]:
    """The worst error of each module, by its key.

    Args:
        quantised: The quantised file.
        exact: The exact real numbers of values of the file.
        forms: How the file holds these values.
        libraries: Custom operator libraries that onnxruntime loads.

    Raises:
        RuntimeFailedError: onnxruntime does not run the rewired file.
    """
    file, groups = quantised.file, quantised.groups
    own = {
        name: group
        for name in exact
        if (group := groups.producer_group(name)) is not None and forms[name].is_real
    }
    nodes = RewiredNodes(
        groups,
        lambda name: _EXACT + name if name in own else None,
        lambda name: _EXACT_REAL + name if name in own else None,
        list(groups.graph.nodes),
        replace_quantised=lambda name: (
            _EXACT_REAL + name if name in own and name in groups.settled else None
        ),
    ).nodes
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.node[:], model.graph.output[:], model.graph.value_info[:]
    arrays = dict(quantised.feeds)
    for name in own:
        array, input_name = exact[name], _INPUT + name
        form, real = forms[name], ValueForm(onnx.TensorProto.FLOAT, forms[name].shape)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        model.graph.input.append(helper.make_tensor_value_info(input_name, kind, array.shape))
        arrays[input_name] = array
        nodes = [
            *converted(input_name, ValueForm.of(array), _EXACT + name, form),
            *converted(input_name, ValueForm.of(array), _EXACT_REAL + name, real),
            *nodes,
            *converted(*quantised.computed(name, form), _REAL + name, real),
        ]
    results = [_REAL + name for name in own]
    model.graph.node.extend(needed_nodes(nodes, results))
    expose_values(model.graph, results)
    source = session_source(file.container, model)
    session = Session(file.path, source=source, plain=True, libraries=libraries)
    values = session.run(arrays)
    return _worst_of_modules(own, exact, values)


def _worst_of_modules(
    own: Mapping[str, Group], exact: Mapping[str, Array], values: Mapping[str, Array]
) -> dict[str, LocalError]:
    by_module: dict[str, list[LocalError]] = defaultdict(list)
    for name, group in own.items():
        computed = standard_type(values[_REAL + name])
        errors = measure_errors(*without_masked(exact[name], computed))
        by_module[group.key].append(LocalError(name, group, errors))
    return {
        key: max(locals_, key=lambda local: local.errors.distance)
        for key, locals_ in by_module.items()
    }
