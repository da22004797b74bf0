"""What modules cost: shapes of values, multiplications, bytes; all from the graph, nothing run."""

from rewriter.costs.macs import Macs
from rewriter.costs.shapes import Shapes
from rewriter.costs.weights import Weight, weights_of

__all__ = ["Macs", "Shapes", "Weight", "weights_of"]
