"""What modules cost: multiply-accumulates and bytes, from the graph alone; nothing is run."""

from modelexport.rewriter.analysis.costs.macs import MacCounter
from modelexport.rewriter.analysis.costs.shapes import Shapes
from modelexport.rewriter.analysis.costs.weights import StoredWeight, stored_weights

__all__ = ["MacCounter", "Shapes", "StoredWeight", "stored_weights"]
