"""What annotating wrote into the metadata of a model: its module tree, and names before it."""

from typing import TypeVar

import msgspec
import onnx

from modelexport.errors import OnnxFileError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import EmbeddedTree
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter.matching.evidence.carried_hierarchy import metadata_of
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error

T = TypeVar("T")


def embedded_tree(model: onnx.ModelProto, where: str) -> EmbeddedTree | None:
    """The module tree that an annotated file carries; None when it carries none.

    Args:
        model: The model.
        where: The file, for messages.

    Raises:
        FileProblem: It cannot be read.
    """
    text = metadata_of(model).get(keys.MODULES)
    return None if text is None else EmbeddedTree.from_json(text, where)


def embedded_rules(embedded: EmbeddedTree, where: str) -> TagRules:
    """The rules by which the tags of an annotated file were written.

    Raises:
        OnnxFileError: This version does not know them.
    """
    try:
        return TagRules(TagStyle(embedded.tag_style), TorchNN(embedded.torch_nn), embedded.depth)
    except ValueError as error:
        raise OnnxFileError(f"{where}: its tags are of an unknown kind ({error}).") from error


def embedded_parameters(model: onnx.ModelProto, where: str) -> dict[str, str]:
    """Initializer name to the parameter that it holds, as an annotated file says.

    Raises:
        OnnxFileError: The entry cannot be read.
    """
    return _read_entry(model, keys.PARAMETERS, dict[str, str], "parameter names", where)


def embedded_names(model: onnx.ModelProto, where: str) -> dict[str, str | None]:
    """Names that annotating gave to nodes, to those before it; None for a node that had none.

    Raises:
        OnnxFileError: The entry cannot be read.
    """
    return _read_entry(model, keys.NAMES, dict[str, str | None], "earlier node names", where)


def _read_entry(model: onnx.ModelProto, key: str, type_: type[T], what: str, where: str) -> T:
    """An entry of JSON; an empty object when there is none."""
    try:
        return msgspec.json.decode(metadata_of(model).get(key, "{}"), type=type_)
    except DECODE_ERRORS as error:
        raise OnnxFileError(
            f"{where}: its {what} cannot be read ({explain_decode_error(error)})."
        ) from error
