"""Which module to look at first."""

from collections.abc import Sequence

from modelexport.rewriter.comparison.quantisation.results import ModuleError
from modelexport.rewriter.comparison.weights.results import ChangedWeight


def likely_cause(
    first: str | None,
    suspects: Sequence[str],
    weights: Sequence[ChangedWeight],
    local: Sequence[ModuleError],
) -> str | None:
    """Tag of the module to look at first; None where nothing diverges.

    Args:
        first: The module in which divergence begins.
        suspects: Modules in which it may begin instead.
        weights: The weights that were changed, the most changed first.
        local: For a file of fewer bits the error of each module by itself, the largest first.
    """
    if first is None:
        return None
    changed = [weight.tag for weight in weights]
    if local:
        return next(iter([*changed, local[0].tag]))
    return next((tag for tag in (first, *suspects) if tag in changed), first)
