"""What modules cost: shapes of values, multiplications, bytes; all from the graph, nothing run."""

from modelexport.rewriter.analysis.costs.macs import Macs
from modelexport.rewriter.analysis.costs.shapes import Shapes
from modelexport.rewriter.analysis.costs.weights import Weight, weights_of

__all__ = ["Macs", "Shapes", "Weight", "weights_of"]
