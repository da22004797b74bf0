"""A shortcut through onnxscript's rewriter, which optimises what torch's dynamo exporter writes.

The rewriter tries every rule at every node. For a rule that replaces several outputs it first
lists all nodes of the graph, each time: its time grows with the square of the number of layers.
Whether the node can be the rule's first output at all is known without that list, and mostly it
cannot. The result is the same, node for node.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import onnx_ir
from onnxscript.rewriter import pattern


@contextmanager
def nodes_checked_first() -> Iterator[None]:
    """Let onnxscript look at a node before it looks at the whole graph around it.

    This uses private parts of onnxscript. With a version that lacks them, nothing is changed, and
    its rewriter is slow for deep models.
    """
    matcher: Any = getattr(pattern, "SimplePatternMatcher", None)
    if not all(hasattr(matcher, name) for name in ("match", "_init_match", "_match_node")):
        yield
        return
    match_anywhere = matcher.match

    def match(
        self: Any,
        model: onnx_ir.Model,
        graph_or_function: onnx_ir.Graph | onnx_ir.Function,
        node: onnx_ir.Node,
        **options: Any,
    ) -> Any:
        # A tracer wants to see every attempt.
        if not self.pattern.has_single_output_node and options.get("tracer") is None:
            self._tracer = None
            self._graph = (
                graph_or_function.graph
                if isinstance(graph_or_function, onnx_ir.Function)
                else graph_or_function
            )
            self._init_match(options.get("verbose", 0))
            if not self._match_node(self.pattern.output_nodes[0], node):
                return self._match
        return match_anywhere(self, model, graph_or_function, node, **options)

    with mock.patch.object(matcher, "match", match):
        yield
