"""The results of selecting nodes."""

import msgspec


class SelectedNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """One selected node.

    Attributes:
        name: Its name; empty for a node without one.
        op_type: Its operator.
        graph, position: Its address: path of its graph, and position in it.
        module: Path of its module; None for a node without a module.
        tag: The tag of that module.
        source_lines: Lines of Python (`file:line`) behind it, as far as they are known.
    """

    name: str
    op_type: str
    graph: str
    position: int
    module: str | None = None
    tag: str | None = None
    source_lines: tuple[str, ...] = ()


class Selection(msgspec.Struct, frozen=True):
    """Nodes that were chosen by module.

    Attributes:
        file: The file's name.
        total: Number of nodes in the file.
        nodes: The selected nodes, in the file's order.
        modules: The modules that were chosen: paths, with `@` and a number for one call.
        without_name: Number of selected nodes without a name: tools cannot address them.
        shared_names: Names of selected nodes that nodes outside the selection have, too.
        notes: What the user should know.
    """

    file: str
    total: int
    nodes: list[SelectedNode]
    modules: list[str] = []
    without_name: int = 0
    shared_names: list[str] = []
    notes: list[str] = []

    @property
    def names(self) -> list[str]:
        """The names of the selected nodes, each once."""
        return list(dict.fromkeys(node.name for node in self.nodes if node.name))
