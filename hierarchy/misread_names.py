"""Functions that onnxruntime takes for operators, because of their names.

When onnxruntime loads a file, it computes shapes ahead for some operators. It knows them by their
names and looks at no domain. If a function has such a name and fewer inputs than the operator, the
process aborts (seen with onnxruntime 1.30 and 1.32).
"""

from modelexport.hierarchy.opsets import DEFAULT_DOMAINS

_LEAST_INPUTS = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Gather"), 2),
    **dict.fromkeys(("Size", "Squeeze", "Unsqueeze"), 1),
}
"""The operators, each with the number of inputs that onnxruntime reads without a check."""


def is_misread(domain: str, name: str, inputs: int) -> bool:
    """Whether the call of a function aborts the process in onnxruntime.

    Args:
        domain: Domain of the function.
        name: Its name.
        inputs: Number of inputs of the call.
    """
    return domain not in DEFAULT_DOMAINS and inputs < _LEAST_INPUTS.get(name, 0)
