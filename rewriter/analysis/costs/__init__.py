"""What modules cost: multiply-accumulates and bytes, from the graph alone; nothing is run."""

from modelexport.rewriter.analysis.costs.macs import MacCounter
from modelexport.rewriter.analysis.costs.shapes import Shapes
from modelexport.rewriter.analysis.costs.weights import StoredWeight, stored_weights
from modelexport.rewriter.analysis.costs.work_by_module import (
    Work,
    WorkByModule,
    WorkCounter,
    add_works,
    choose_module,
)

__all__ = [
    "MacCounter",
    "Shapes",
    "StoredWeight",
    "Work",
    "WorkByModule",
    "WorkCounter",
    "add_works",
    "choose_module",
    "stored_weights",
]
