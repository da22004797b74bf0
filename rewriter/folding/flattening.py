"""Looking through functions that folding made; most files have none, so this loads little."""

import onnx

from modelexport.hierarchy import keys


def folded_functions(model: onnx.ModelProto) -> list[onnx.FunctionProto]:
    """The functions that folding made."""
    return [f for f in model.functions if any(e.key == keys.FUNCTION for e in f.metadata_props)]


def unfolded(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """A model without functions of our making; itself if it has none."""
    if not folded_functions(model):
        return model
    from modelexport.rewriter.folding.unfolding import unfold  # noqa: PLC0415 - few files have any

    made = onnx.ModelProto()
    made.CopyFrom(model)
    unfold(made, where, infer=False)
    return made
