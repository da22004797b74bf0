"""What analyzing a file gives: its figures, a row for each module, the nodes without a module."""

from typing import Self

import msgspec


class ModuleRow(msgspec.Struct, frozen=True):
    """One module of a file. Modules that share a tag share a row.

    Attributes:
        tag: Its tag.
        path: Its module path.
        class_name: Its class; "" when the file does not say.
        depth: Steps below the root. A number is one step with the name before it, unless the
            module of that name has nodes or weights of its own.
        own_nodes: Nodes that are tagged with this module itself.
        nodes: Nodes that are tagged with it or with a module below it.
        op_types: Number of `nodes` by operator, the most frequent first.
        own_parameters: Elements of its own parameters.
        parameters: Elements of its parameters and of those below it. Tied ones and those of
            shared modules count once in each row that has them.
        share: `parameters` as a share of the model's, 0 to 1.
        evidence: Number of `nodes` by the kind of evidence that gave them their module.
        macs: Multiply-accumulates of `nodes` in one run of the model.
        unknown_macs: How many of `nodes` have unknown multiply-accumulates.
        weight_bytes: Bytes of the stored tensors of it and of the modules below it.
        activation_bytes: Bytes of the values that `nodes` compute. Constants and shapes are
            left out.
        unknown_activations: How many of these values have an unknown size.
        parent: Tag of the row that it is part of; None for the root.
        source_lines: Lines of Python (`file:line`) behind its own nodes, where the file has them.
    """

    tag: str
    path: str
    class_name: str
    depth: int
    own_nodes: int
    nodes: int
    op_types: dict[str, int]
    own_parameters: int
    parameters: int
    share: float
    evidence: dict[str, int] = {}
    macs: int = 0
    unknown_macs: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    parent: str | None = None
    source_lines: tuple[str, ...] = ()

    @property
    def only_holds(self) -> bool:
        """Whether it has no nodes and no parameters of its own."""
        return not self.own_nodes and not self.own_parameters

    def times(self, count: int) -> Self:
        """The figures of `count` modules that are equal to this one, added up."""
        return msgspec.structs.replace(
            self,
            own_nodes=count * self.own_nodes,
            nodes=count * self.nodes,
            op_types={name: count * nodes for name, nodes in self.op_types.items()},
            own_parameters=count * self.own_parameters,
            parameters=count * self.parameters,
            share=count * self.share,
            evidence={name: count * nodes for name, nodes in self.evidence.items()},
            macs=count * self.macs,
            unknown_macs=count * self.unknown_macs,
            weight_bytes=count * self.weight_bytes,
            activation_bytes=count * self.activation_bytes,
            unknown_activations=count * self.unknown_activations,
        )


class UnresolvedNode(msgspec.Struct, frozen=True):
    """A node without a known module.

    Attributes:
        graph: Path of its graph, see `hierarchy.graph_paths`.
        position: Its index in that graph.
        name: Its name in the file.
        op_type: Its operator.
        reason: Why its module is unknown.
    """

    graph: str
    position: int
    name: str
    op_type: str
    reason: str


class Analysis(msgspec.Struct, frozen=True):
    """A file and its modules.

    Attributes:
        file: Base name of the file.
        source: Where the tags come from: one of the schemes of
            `rewriter.matching.evidence.carried`. None when the file carries no hierarchy.
        nodes: Number of nodes.
        tagged: Number of nodes with a known module.
        coverage: `tagged` as a share of `nodes`, 0 to 1.
        evidence: Number of tagged nodes by the kind of evidence that gave them their module.
        op_types: Number of nodes by operator, the most frequent first.
        untagged_op_types: The same of the nodes without a tag.
        parameters: Elements of all parameters; tied ones and those of aliases are counted once.
        opset: Version by operator domain.
        ir_version: Version of the ONNX format.
        producer: Name and version of the program that wrote the file.
        modules: A row for each module. Without another order, it is the model's: each module
            is followed by those below it.
        functions: Number of functions that folding made. Nodes are counted as if they were
            not folded.
        macs: Multiply-accumulates of one run.
        unknown_macs: Number of nodes with unknown multiply-accumulates.
        weight_bytes: Bytes of all stored tensors.
        activation_bytes: Bytes of all computed values together.
        unknown_activations: Number of computed values with an unknown size.
        unresolved: The nodes without a module.
        notes: What else the user should know.
    """

    file: str
    source: str | None
    nodes: int
    tagged: int
    coverage: float
    evidence: dict[str, int]
    op_types: dict[str, int]
    untagged_op_types: dict[str, int]
    parameters: int
    opset: dict[str, int]
    ir_version: int
    producer: str
    modules: list[ModuleRow]
    functions: int = 0
    macs: int = 0
    unknown_macs: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    unresolved: list[UnresolvedNode] = []
    notes: list[str] = []

    def _repr_html_(self) -> str:
        """The tree of modules as HTML, for notebooks."""
        from modelexport.rewriter.analysis.html import analysis_html  # noqa: PLC0415 - only notebooks need it

        return analysis_html(self)
