"""The only use of onnx-graphsurgeon, which by itself loses much of a model on a round trip.

graphsurgeon drops metadata, doc strings of nodes, overloads, quantisation annotations, the
model's own version, attributes of kinds that it does not know, and initializers and value infos
that no node uses. It also copies outer weights into subgraphs. Here an edit changes what it
changes, and all else stays as it was in the model: each object that graphsurgeon makes is
registered with the message it was made from, and only what differs from that is written anew.
"""

from modelexport.rewriter.surgery.node_objects import is_variable, new_node, subgraphs_of
from modelexport.rewriter.surgery.surgery import Surgery

__all__ = ["Surgery", "is_variable", "new_node", "subgraphs_of"]
