"""The one door to onnx-graphsurgeon, which by itself loses much on a round trip.

graphsurgeon forgets metadata, doc strings of nodes, overloads, quantisation annotations, the
model's own version, attributes of kinds it does not know, initializers and value infos that
no node uses; and it copies outer weights into subgraphs. Here an edit changes what it changes,
and everything else is what the model had: each object that graphsurgeon made remembers the
message that it was made of, and only what differs from that is written anew.
"""

from modelexport.rewriter.surgery.operation import Surgery

__all__ = ["Surgery"]
