"""What the file of a part has to hold."""

import msgspec
import onnx

from modelexport.hierarchy.module_tree import Module
from modelexport.rewriter.annotation.placed_file import PlacedFile


def modules_of_part(whole: PlacedFile, part: onnx.ModelProto) -> list[Module]:
    """The modules that a part has nodes or weights of, and those around them, in their order.

    Args:
        whole: The file that the part was cut out of; its nodes have names, and its initializers
            those of their parameters.
        part: The part.
    """
    names, weights = {n.name for n in part.graph.node}, {w.name for w in part.graph.initializer}
    placed = zip(whole.graph.nodes, whole.claims, strict=True)
    claims = [claim for node, claim in placed if node.name in names and claim]
    paths = {path for claim in claims for path in (claim.module, *claim.covers)}
    paths |= {weight.rpartition(".")[0] for weight in weights}
    return [
        msgspec.structs.replace(
            module,
            parameters=tuple(p for p in module.parameters if f"{module.path}.{p.name}" in weights),
        )
        for module in whole.tree
        if not module.path or any(f"{path}.".startswith(f"{module.path}.") for path in paths)
    ]
