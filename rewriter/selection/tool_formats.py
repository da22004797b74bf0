"""A selection in the form that a tool takes. The tool leaves the selected nodes as they are.

Tools that match names as regular expressions get anchored and escaped ones, so that `layer.1` does
not match `layer.10`. Most forms are JSON with the arguments of the tool. Others are plain names,
one regular expression, or the text of a setting.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, SelectionFormat
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.rewriter.annotation.annotation_edits import edited
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.container import Edits
from modelexport.rewriter.selection.results import Selection

JSON_FORMATS = frozenset(SelectionFormat) - {
    SelectionFormat.NAMES,
    SelectionFormat.REGEX,
    SelectionFormat.LAYER_ANN,
    SelectionFormat.OLIVE_SPLIT,
}
"""The forms that are JSON."""

LAYER_ANNOTATION = "layer_ann"
"""On a node: the annotation by which onnxruntime assigns nodes to devices."""


def format_selection(selection: Selection, form: SelectionFormat, device: str = "cpu") -> str:
    """The selection as a text for a tool.

    Args:
        selection: The selection.
        form: The form; `json` is the selection itself.
        device: For `layer-ann`: the device that gets the nodes, as onnxruntime calls it.

    Raises:
        UsageError: None of the nodes has a name, or the tool reads modules from names, and
            the names do not have them.
    """
    if form is SelectionFormat.JSON:
        return msgspec.json.format(msgspec.json.encode(selection), indent=2).decode()
    if form is SelectionFormat.LAYER_ANN:
        check_device(device)
        return f"{device}(={device})"
    if not selection.names:
        raise UsageError(
            f"{selection.file}: the selected nodes have no names: `annotate --inject names` gives "
            "every node a name of its own."
        )
    return _WRITERS[form](selection)


def check_device(device: str) -> None:
    """Refuse a device that cannot stand in onnxruntime's setting, `device(=annotation); …`.

    Raises:
        UsageError: It has a character that divides the setting.
    """
    if not re.fullmatch(r"[\w:.+-]+", device):
        raise UsageError(
            f"--device {device}: a device is one word without ; ( ) = or commas, such as cpu or "
            "gpu:0."
        )


def joined_json(texts: Mapping[PartRole, str]) -> str:
    """The texts of parts, which are JSON, as one object."""
    values = {name: msgspec.Raw(text.encode()) for name, text in texts.items()}
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode()


def annotate_layers(
    path: Path, selection: Selection | None, target: Path, device: str, *, force: bool = False
) -> None:
    """Write a copy of a file in which the selected nodes are annotated for a device.

    Args:
        path: The file.
        selection: The nodes; None for a copy without annotations.
        target: Where the copy goes.
        device: The device, as onnxruntime calls it; it is the annotation.
        force: Whether an existing file may be overwritten.

    Raises:
        FileProblem: A file cannot be read or written.
    """
    entries = ((LAYER_ANNOTATION, device),)
    chosen = [] if selection is None else selection.nodes
    nodes = {NodeKey(node.graph, node.position): entries for node in chosen}
    edits = Edits(nodes=nodes, strip=False, replace=frozenset({LAYER_ANNOTATION}))
    with ModelFile.open(path) as file:
        if file.folded:
            file.container.write_model(target, edited(file.flat, edits), force=force)
        else:
            file.container.write(target, edits, force=force)


def exact_pattern(name: str) -> str:
    """A regular expression that matches a name and nothing else."""
    return f"^{re.escape(name)}$"


def quantiser_names(name: str, op_type: str) -> list[str]:
    """The names by which onnxruntime's quantisers know a node.

    The dynamic one splits a Gemm into a MatMul and an Add before it looks at names.
    """
    return [name, f"{name}_MatMul"] if op_type == "Gemm" else [name]


def _for_quantisers(selection: Selection) -> str:
    nodes = [node for node in selection.nodes if node.name]
    names = [name for node in nodes for name in quantiser_names(node.name, node.op_type)]
    return _as_json(nodes_to_exclude=list(dict.fromkeys(names)))


def _as_json(**arguments: object) -> str:
    return msgspec.json.format(msgspec.json.encode(arguments), indent=2).decode()


def _one_pattern(selection: Selection) -> str:
    return f"^(?:{'|'.join(map(re.escape, selection.names))})$"


def _olive_split(selection: Selection) -> str:
    """Olive's assignments: each selected module is a part, in order.

    Olive reads the module in front of a node's name, down to the same depth for all nodes.
    """
    paths = [module.partition("@")[0] for module in selection.modules]
    if not paths or len({path.count(".") for path in paths}) > 1 or "" in paths:
        raise UsageError(
            "--format olive-split needs --module, and modules of the same depth: Olive compares "
            "the same number of steps of each name."
        )
    depth = paths[0].count(".") + 1
    read = {
        ".".join(node.name.replace("/", ".").lstrip(".").split(".")[:depth])
        for node in selection.nodes
    }
    if missing := [path for path in paths if path not in read]:
        raise UsageError(
            f"{selection.file}: the names of its nodes do not show that they are in {missing[0]}, "
            "and Olive reads modules from names: `annotate --inject names` writes such names."
        )
    return ";".join(f"{path}={part}" for part, path in enumerate(paths))


_WRITERS: dict[SelectionFormat, Callable[[Selection], str]] = {
    SelectionFormat.NAMES: lambda selection: "\n".join(selection.names),
    SelectionFormat.REGEX: _one_pattern,
    SelectionFormat.ORT: _for_quantisers,
    SelectionFormat.FP16: lambda selection: _as_json(node_block_list=selection.names),
    SelectionFormat.MODELOPT: lambda selection: _as_json(
        nodes_to_exclude=list(map(exact_pattern, selection.names))
    ),
    SelectionFormat.QUARK: lambda selection: _as_json(
        exclude=selection.names,
        OptimizeModel=False,  # Quark fuses nodes before it reads names, and gives others
        SimplifyModel=False,
    ),
    SelectionFormat.INC: lambda selection: _as_json(
        set_local=list(map(exact_pattern, selection.names))
    ),
    SelectionFormat.OLIVE_SPLIT: _olive_split,
}
