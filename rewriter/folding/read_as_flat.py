"""Reading a folded model as a flat one; most files are not folded, so this imports little."""

import onnx

from modelexport.rewriter.folding.function_notes import folded_functions


def unfolded(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    """A copy of a model without the functions that folding made; itself if it has none.

    Args:
        model: The model; its weights may be left out.
        label: The path of the file, for error messages.
    """
    if not folded_functions(model):
        return model
    from modelexport.rewriter.folding.unfold_model import (  # noqa: PLC0415 - few files are folded
        unfold,
    )

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    unfold(copy, label, infer=False)
    return copy
