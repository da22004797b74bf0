"""The options of profiling: each option and its default stands here and nowhere else."""

from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.choices import OptimisationLevel, ProfileRuntime, parse_choice


class ProfileKeywords(TypedDict, total=False):
    """The types of `ProfileOptions` as keyword arguments, for type checkers and editors."""

    level: OptimisationLevel | str
    runs: int | None
    sessions: int
    warmup: int
    threads: int
    provider: str | None
    probe: Path | str | None
    libraries: tuple[Path, ...]
    memory: int
    runtime: ProfileRuntime | str


class ProfileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is run to be profiled.

    Attributes:
        level: How far onnxruntime optimises the file.
        runs: Number of runs that are measured. If None: 30, or more if a run is short: as many as
            take a second, at most 120; fewer for files of many nodes.
        sessions: Maximum number of onnxruntime sessions among which these runs are divided. Each
            session loads the file again and warms up. There are fewer sessions if that would take
            more than half a second.
        warmup: Number of runs at the beginning of each session that are not measured.
        threads: Number of threads inside an operator; 0 to let the runtime choose.
        provider: Execution provider of onnxruntime (`CPUExecutionProvider`, or only `cpu`), or
            device of openvino (`CPU`). None for the processor.
        probe: An .npz file with an array for each input, by name. None for the inputs of the
            record, or generated ones.
        libraries: Custom operator libraries that onnxruntime loads first.
        memory: Maximum bytes of values that are in memory at one time, where a file that carries
            no tags is run to match it.
        runtime: The runtime that runs the file.
    """

    level: OptimisationLevel = OptimisationLevel.ALL
    runs: int | None = None
    sessions: int = 10
    warmup: int = 3
    threads: int = 0
    provider: str | None = None
    probe: Path | None = None
    libraries: tuple[Path, ...] = ()
    memory: int = DEFAULT_MEMORY
    runtime: ProfileRuntime = ProfileRuntime.ONNXRUNTIME

    def overridden(self, **changes: Unpack[ProfileKeywords]) -> "ProfileOptions":
        """These options with some of them replaced.

        Raises:
            TypeError: There is no option of such a name.
            UsageError: A value is not one of the choices, or a number is too small.
        """
        options = msgspec.structs.replace(self, **changes)
        level = parse_choice(OptimisationLevel, options.level, "level of optimisation")
        runtime = parse_choice(ProfileRuntime, options.runtime, "runtime")
        runs = 1 if options.runs is None else options.runs
        if min(runs, options.sessions) < 1 or min(options.warmup, options.threads) < 0:
            raise UsageError(
                "Profiling needs at least 1 run and 1 session; other numbers cannot be negative."
            )
        probe = None if options.probe is None else Path(options.probe)
        return msgspec.structs.replace(options, level=level, runtime=runtime, probe=probe)


class ProfileFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files that profiling writes; None for each that is not wanted.

    Attributes:
        trace: Chrome trace events of one run, nested by module (for Perfetto).
        speedscope: The same run for speedscope.
        folded_stacks: A line for each node: its modules and its time (for flame graphs).
        node_data: The time of each node for Model Explorer, by the names in `save_optimised`.
        save_optimised: The file as the runtime optimised it, annotated, with unique node names.
    """

    trace: Path | None = None
    speedscope: Path | None = None
    folded_stacks: Path | None = None
    node_data: Path | None = None
    save_optimised: Path | None = None


class ImportedProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that was recorded elsewhere.

    Attributes:
        path: The profile. Its content tells the format.
        layer_info: For a profile of trtexec, what --exportLayerInfo wrote; None without it.
    """

    path: Path
    layer_info: Path | None = None
