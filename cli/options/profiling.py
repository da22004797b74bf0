"""How a file is run to be profiled, and which files the profile is written to."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from modelexport.cli.options.matching import DEFAULT_MEMORY_SIZE, CustomOps, Memory, memory_bytes
from modelexport.cli.stdio_files import check_named, check_one_output, input_file, text_output
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import OptimisationLevel, ProfileFormat, ProfileRuntime
from modelexport.hierarchy.profile_options import ImportedProfile, ProfileFiles, ProfileOptions
from modelexport.support.stdio import STDIO

_DEFAULTS = ProfileOptions()


@dataclass(frozen=True)
class ProfileRunOptions:
    """How the file is run."""

    topic: ClassVar = "Running"

    level: Annotated[
        OptimisationLevel, typer.Option(help="How far onnxruntime optimises the file.")
    ] = _DEFAULTS.level
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of measured runs; by default 30, or as many as take a second, up to 120.",
        ),
    ] = _DEFAULTS.runs
    sessions: Annotated[
        int,
        typer.Option(
            min=1,
            help="Maximum number of onnxruntime sessions for these runs; fewer if loading and "
            "warming up take long.",
        ),
    ] = _DEFAULTS.sessions
    warmup: Annotated[
        int, typer.Option(min=0, help="Number of unmeasured runs at the start of each session.")
    ] = _DEFAULTS.warmup
    threads: Annotated[
        int,
        typer.Option(
            min=0, help="Number of threads inside an operator; 0 for onnxruntime's choice."
        ),
    ] = _DEFAULTS.threads
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Execution provider, such as cuda; the processor by default."
        ),
    ] = None
    probe: Annotated[
        Path | None,
        typer.Option(
            metavar="INPUTS.npz",
            help="Inputs by name; by default those of the record, or generated ones.",
        ),
    ] = None
    runtime: Annotated[
        ProfileRuntime,
        typer.Option(help="What runs the file; openvino needs modelexport[openvino]."),
    ] = _DEFAULTS.runtime
    custom_ops: CustomOps = None
    memory: Memory = DEFAULT_MEMORY_SIZE

    def check_import(self) -> None:
        """Refuse options of a run beside a profile that was recorded elsewhere.

        Raises:
            UsageError: There is one.
        """
        names = ("runs", "sessions", "warmup", "threads", "runtime")
        used = [name for name in names if getattr(self, name) != getattr(_DEFAULTS, name)]
        if used:
            raise UsageError(f"--{used[0]} cannot be used with --import: nothing runs.")

    def profile_options(self) -> ProfileOptions:
        """The options as `modelexport.profile` takes them."""
        return ProfileOptions(
            level=self.level,
            runs=self.runs,
            sessions=self.sessions,
            warmup=self.warmup,
            threads=self.threads,
            provider=self.provider,
            probe=self.probe,
            libraries=tuple(self.custom_ops or ()),
            memory=memory_bytes(self.memory),
            runtime=self.runtime,
        )


@dataclass(frozen=True)
class ProfileImportOptions:
    """A profile that was recorded elsewhere."""

    topic: ClassVar = "Profiles recorded elsewhere"

    imported: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="PROFILE",
            help="Run nothing; read a profile of FILE that onnxruntime, trtexec, openvino or QNN "
            "recorded; - for standard input.",
        ),
    ] = None
    layer_info: Annotated[
        Path | None,
        typer.Option(
            metavar="LAYERS.json", help="For trtexec: the file that --exportLayerInfo wrote."
        ),
    ] = None

    @contextmanager
    def imported_profile(self) -> Iterator[ImportedProfile | None]:
        """The profile as `modelexport.profile` takes it; None without one."""
        if self.imported is None:
            if self.layer_info is not None:
                raise UsageError("--layer-info needs --import PROFILE.json.")
            yield None
            return
        with input_file(self.imported, "stdin") as path:
            yield ImportedProfile(path=path, layer_info=self.layer_info)


@dataclass(frozen=True)
class ProfileFileOptions:
    """The files that are written."""

    topic: ClassVar = "Files for other tools"

    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="F.json",
            help="Write one run as Chrome trace events, nested by module, for Perfetto; - for "
            "standard output, as for the next three.",
        ),
    ] = None
    speedscope: Annotated[
        Path | None, typer.Option(metavar="F.json", help="Write one run for speedscope.")
    ] = None
    folded_stacks: Annotated[
        Path | None, typer.Option(metavar="F.txt", help="Write folded stacks, for flame graphs.")
    ] = None
    node_data: Annotated[
        Path | None,
        typer.Option(
            metavar="F.json",
            help="Write the time of each node for Model Explorer; needs --save-optimised.",
        ),
    ] = None
    save_optimised: Annotated[
        Path | None,
        typer.Option(
            metavar="F.onnx", help="Write the file as onnxruntime optimised it, annotated."
        ),
    ] = None

    def any(self) -> bool:
        """Whether a file is written."""
        return any(path is not None for path in (*self._texts().values(), self.save_optimised))

    def uses_stdout(self) -> bool:
        """Whether one of the files is `-`."""
        return STDIO in self._texts().values()

    def check_output(self, output_format: ProfileFormat) -> None:
        """Refuse several results on standard output.

        Args:
            output_format: The format of the result: tree and table may go to standard error.

        Raises:
            UsageError: There are several.
        """
        check_named(**{"--save-optimised": self.save_optimised})
        uses = {f"--{name.replace('_', '-')} -": p == STDIO for name, p in self._texts().items()}
        on_stdout = output_format not in {ProfileFormat.TREE, ProfileFormat.TABLE}
        check_one_output(uses | {f"--output-format {output_format}": on_stdout})

    @contextmanager
    def profile_files(self) -> Iterator[ProfileFiles]:
        """The files as `modelexport.profile` takes them. The one that is `-` is printed after."""
        with ExitStack() as stack:
            texts = {
                name: stack.enter_context(text_output(path)) for name, path in self._texts().items()
            }
            yield ProfileFiles(**texts, save_optimised=self.save_optimised)

    def _texts(self) -> dict[str, Path | None]:
        return {
            "trace": self.trace,
            "speedscope": self.speedscope,
            "folded_stacks": self.folded_stacks,
            "node_data": self.node_data,
        }
