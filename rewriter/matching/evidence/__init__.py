"""Kinds of evidence for the module of a node, one file each, cheapest first.

Each kind looks at a model and says what it knows as `Claims`; it knows nothing of the other
kinds. `rewriter.matching.matcher` settles who is believed.
"""
