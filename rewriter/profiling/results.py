"""What a profile says, by module, operator and node."""

import msgspec

from modelexport.hierarchy.choices import PartRole


class ModuleTime(msgspec.Struct, frozen=True):
    """The time of one module.

    Attributes:
        tag: Its tag.
        path: Its path; "" for the root.
        class_name: Its class.
        depth: Number of steps below the root.
        parent: Tag of the module around it; None for the root.
        self_time: Time of its own nodes.
        time: Time of its nodes and of those of the modules inside it: the sum of the times of
            the nodes.
        spread: Half of the range in which the middle half of the runs lie; None for one run.
        share: `time` as a share of the time of all nodes, 0 to 1.
        shared_time: The part of `time` in layers that do the work of other modules, too.
        own_nodes: Number of its own nodes (layers of the runtime).
        nodes: Number of its nodes with those of the modules inside it.
        op_types: Time by operator, the longest first.
    """

    tag: str
    path: str
    class_name: str
    depth: int
    parent: str | None
    self_time: float
    time: float
    spread: float | None
    share: float
    shared_time: float
    own_nodes: int
    nodes: int
    op_types: dict[str, float]

    @property
    def only_holds(self) -> bool:
        """Whether it has no nodes of its own."""
        return not self.own_nodes


class NodeTime(msgspec.Struct, frozen=True):
    """The time of one node of the runtime.

    Attributes:
        name: Its name in the profile.
        op_type: Its operator.
        time: Mean of the faster half of its times in the runs.
        spread: Half of the range in which the middle half of the runs lie; None for one run.
        module: Path of the module that it is charged to; None where no module is known.
        tag: The tag of this module.
        covers: Tags of all modules whose work it does, when there are several.
        nodes: Names of the nodes of the file (or of its optimised form) that it runs.
        provider: What executed it.
        reason: Why no module is known.
        source_lines: Lines of Python (`file:line`) behind it. The one that it is charged to is
            first.
    """

    name: str
    op_type: str
    time: float
    spread: float | None = None
    module: str | None = None
    tag: str | None = None
    covers: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    provider: str = ""
    reason: str | None = None
    source_lines: tuple[str, ...] = ()


class LineTime(msgspec.Struct, frozen=True):
    """The time of one line of Python.

    Attributes:
        line: The line (`file:line`); "" for all nodes of which no line is known.
        time: Time of the nodes that are charged to it: the sum of their times.
        spread: Half of the range in which the middle half of the runs lie; None for one run.
        share: `time` as a share of the time of all nodes, 0 to 1.
        shared_time: The part of `time` in nodes that do the work of other lines, too.
        nodes: Number of its nodes (layers of the runtime).
        modules: Tags of the modules that its nodes are charged to, those with most time first.
        op_types: Time by operator, the longest first.
    """

    line: str
    time: float
    spread: float | None
    share: float
    shared_time: float
    nodes: int
    modules: list[str]
    op_types: dict[str, float]


class Profile(msgspec.Struct, frozen=True):
    """A profile by module. Times are in microseconds, or in cycles where `unit` says so.

    Attributes:
        file: Base name of the file.
        runtime: What ran it, with its version.
        providers: Its execution providers or devices.
        level: How far onnxruntime optimised it; None for other runtimes and unknown levels.
        threads: Number of threads inside an operator; 0 for the runtime's own choice.
        runs: Number of runs that were measured; 0 when unknown.
        unit: `us` or `cycles`.
        inputs: Shape of each input.
        run_time: Mean of the faster half of the times of whole runs; None when unknown.
        node_time: Sum of the times of all nodes.
        outside_nodes: Time of a run outside of nodes, likewise; None when unknown.
        no_module: Time of nodes for which no module is known.
        attributed: Share (0-1) of `node_time` that is charged to modules below the root.
        root_work: Share (0-1) of `node_time` in nodes that are known to be work of the root's own
            forward. What is neither is lost: its module is not known.
        unmapped: Share (0-1) of `node_time` in layers that were joined with no node of the file.
        op_types: Time by operator, the longest first.
        modules: The modules with time.
        nodes: Every node, in the order of execution.
        lines: The lines of Python with time, the longest first; none where the file has no lines.
            They are those of the listed modules.
        notes: What else the user should know.
    """

    file: str
    runtime: str
    providers: tuple[str, ...]
    level: str | None
    threads: int
    runs: int
    unit: str
    inputs: dict[str, list[int]]
    run_time: float | None
    node_time: float
    outside_nodes: float | None
    no_module: float
    attributed: float
    unmapped: float
    op_types: dict[str, float]
    modules: list[ModuleTime]
    nodes: list[NodeTime]
    lines: list[LineTime] = []
    notes: list[str] = []
    root_work: float = 0.0


class PartsProfile(msgspec.Struct, frozen=True):
    """The profiles of the parts of a model.

    Attributes:
        parts: That of each part, by its role.
        whole: One run of each part together: sums by module, operator and node.
    """

    parts: dict[PartRole, Profile]
    whole: Profile


class ModuleTimes(msgspec.Struct, frozen=True):
    """One module in two profiles.

    Attributes:
        tag, path: Of the module.
        a, b: Its time in each profile; None where it has none.
        ratio: `b` over `a`; None where one of them is missing or zero.
    """

    tag: str
    path: str
    a: float | None
    b: float | None
    ratio: float | None


class LineTimes(msgspec.Struct, frozen=True):
    """One line of Python in two profiles.

    Attributes:
        line: The line (`file:line`); "" for all nodes of which no line is known.
        a, b: Its time in each profile; None where it has none.
        ratio: `b` over `a`; None where one of them is missing or zero.
    """

    line: str
    a: float | None
    b: float | None
    ratio: float | None


class ProfileComparison(msgspec.Struct, frozen=True):
    """Two profiles side by side.

    Attributes:
        a, b: The profiles.
        modules: The modules of both, the largest difference first.
        lines: The lines of Python of both, likewise.
    """

    a: Profile
    b: Profile
    modules: list[ModuleTimes]
    lines: list[LineTimes] = []
