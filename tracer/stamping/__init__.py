"""Exporting equal layers once: a deep model costs what its distinct layers cost.

`stamped_export` is the entry. The parts, in order: `siblings` finds modules of one class;
`sibling_observer` watches what they do in an eager run (`sibling_calls`); `equal_runs` tells which
of them do the same one after the other; `short_model` leaves most of these out of an export;
`stamping` copies one layer's nodes for those that were left out, with each one's own weights,
inputs, outputs and names (`layer_nodes`, `layer_weights`, `folded_normalisation`, `graph_ends`);
`verification` holds the result against the eager run.
"""
