"""Decisions that eager execution contradicts."""

from collections.abc import Set as AbstractSet

from agreement.judging import Verdict, judge
from fixtures_gen.truth import Truth
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter import AnnotateReport


def contradicted(
    true: Truth,
    report: AnnotateReport,
    tree: ModuleTree,
    right: AbstractSet[Verdict] = frozenset({Verdict.EXACT}),
) -> list[object]:
    """The decisions about nodes of known modules whose verdict is not a right one.

    Args:
        true: The true modules of the nodes.
        report: What was decided.
        tree: The recorded modules.
        right: The verdicts that pass.

    Returns:
        Each decision with the true modules.
    """
    return [
        (decision, true.modules[decision.key])
        for decision in report.decisions
        if decision.key in true.modules
        and judge(true.modules[decision.key], decision.module, decision.covers, tree) not in right
    ]
