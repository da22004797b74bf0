"""Aligning two graphs: which recorded op each node of a file is.

The method is seeded graph matching, also called seed-and-extend network alignment:

1. *Seeds.* Evidence that needs no neighbours pairs some nodes with recorded ops: equal names,
   equal weights, equal values on the same inputs. Values and weights are compared by sketches,
   so seeds are found whatever things are called (`seeds`, `call_order`).
2. *Greedy expansion.* From the pairs the alignment grows along the edges of both graphs. An open
   node is scored against the recorded ops that stand next to its neighbours' ops, and is paired
   with the best one. Pairs with a strong score come first; only when there are none does a weak
   score suffice (`aligner`, `scorer`). A pair whose values differ is vetoed. Where two ops score
   equally the node waits for its neighbours; if nothing ever decides, it stays ambiguous.
3. *Spans and regions.* A node may do the work of several ops: a fused node of all ops between
   what it reads and what it returns (`spans`). A node that is no recorded op at all gets the ops
   on the paths between its paired neighbours (`enclosure`, `regions`).

Scores are sums over neighbours, as in percolation graph matching (Yartseva and Grossglauser,
2013), and weak pairs are added when no strong one is left, as in its variant that expands when
stuck (Kazemi, Hassani and Grossglauser, 2015). What differs: neighbours may vote against a pair,
several nodes may be one op, and both graphs are seen without nodes that pass values through.
"""
