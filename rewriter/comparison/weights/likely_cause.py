"""Which module to look at first."""

from collections.abc import Sequence

from modelexport.rewriter.comparison.quantisation.results import ModuleError
from modelexport.rewriter.comparison.weights.results import ChangedWeight


def likely_cause(
    first: str | None,
    suspects: Sequence[str],
    weights: Sequence[ChangedWeight],
    local: Sequence[ModuleError],
    position: int = -1,
) -> str | None:
    """Tag of the module to look at first; None where nothing diverges.

    Args:
        first: The module in which divergence begins.
        suspects: Modules in which it may begin instead.
        weights: The weights that were changed, the most changed first.
        local: For a file of fewer bits the error of each module by itself, the largest first.
        position: Of the node in whose value divergence begins: changed weights that are read
            before it may be the cause.
    """
    if first is None:
        return None
    changed = [weight.tag for weight in weights]
    if local:
        return next(iter([*changed, local[0].tag]))
    inside = [tag for tag in changed if tag.startswith(f"{first}/")]
    before = [weight.tag for weight in weights if weight.position <= position]
    return next((tag for tag in (first, *suspects, *inside, *before) if tag in changed), first)
