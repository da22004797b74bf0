"""Kinds of evidence for the module of a node, cheapest first.

Each kind looks at a model and returns its claims, without knowledge of the other kinds.
`rewriter.matching.recognizer` puts them together, `rewriter.matching.decisions` decides.
"""
