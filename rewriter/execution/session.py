"""A file loaded in onnxruntime. Only this module and `profiled_run` import onnxruntime."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelexport.errors import RunLimitError, RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.runtime_values import run_limited
from modelexport.rewriter.container import OnnxContainer, SessionSource, file_source
from modelexport.support.error_texts import first_line
from modelexport.support.limited_call import CallLimitError
from modelexport.support.lost_memory import add_mapped_files

EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
RUN_SECONDS = 1800
"""Most seconds that one run of a file may take. A loop in a file may have no end."""


def load_onnxruntime() -> None:
    """Load onnxruntime in a process that forks, so that its children have it loaded."""
    import onnxruntime  # noqa: F401, PLC0415 - heavy, and not every reader of a file runs it


class Session:
    """A file in onnxruntime, on one thread so that every run gives the same bits.

    Args:
        path: The file.
        source: What to load: the file itself, or in its place the file with more outputs, for
            example.
        plain: Whether to run it as it is, without optimisations, and for one run only.
        libraries: Custom operator libraries to load.

    Raises:
        RuntimeFailedError: onnxruntime does not load it.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: SessionSource,
        plain: bool = False,
        libraries: Iterable[str] = (),
    ) -> None:
        self.path = path
        import onnxruntime as ort  # noqa: PLC0415 - heavy, and not every reader of a file runs it

        self._ort = ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised; nothing else is of interest
        if plain:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_mem_pattern = False
            options.enable_cpu_mem_arena = False  # it takes new pages from the system each time
        if isinstance(source.model, bytes):
            options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(source.folder))
        add_mapped_files(source.files)
        try:
            for library in libraries:
                options.register_custom_ops_library(library)
            self._session = ort.InferenceSession(
                source.model,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would print, and try the same again
            )
            _ = self.input_types, self.output_types  # raises where a name is not UTF-8
        except Exception as error:  # onnxruntime's errors share no base class
            raise RuntimeFailedError(
                f"{path}: onnxruntime cannot load it ({first_line(error)})."
            ) from error

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return [value.name for value in self._session.get_inputs()]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [value.name for value in self._session.get_outputs()]

    @property
    def input_types(self) -> list[tuple[str, str, list[int | str | None]]]:
        """Name, type (`tensor(float)`) and shape of each input; a dynamic extent is no number."""
        return [(value.name, value.type, value.shape) for value in self._session.get_inputs()]

    @property
    def output_types(self) -> list[tuple[str, str, list[int | str | None]]]:
        """The same of each output."""
        return [(value.name, value.type, value.shape) for value in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """All outputs by name.

        Raises:
            RunLimitError: It takes too much time or memory.
            RuntimeFailedError: It does not run on these inputs.
        """
        names = self.outputs
        return dict(zip(names, self.fetch(names, feeds), strict=True))

    def fetch(self, names: list[str], feeds: Mapping[str, Array]) -> list[Any]:
        """Some outputs, in the order of their names.

        Raises:
            RunLimitError: It takes too much time or memory.
            RuntimeFailedError: It does not run on these inputs.
        """
        try:
            return run_limited(self._session, self._ort, names, feeds, seconds=RUN_SECONDS)
        except CallLimitError as error:
            raise run_limit_error(self.path, error) from error
        except Exception as error:  # onnxruntime's errors share no base class
            raise RuntimeFailedError(
                f"{self.path}: onnxruntime cannot run it ({first_line(error)})."
            ) from error


def run_limit_error(path: Path, error: CallLimitError) -> RunLimitError:
    """The error that says which limit a run of a file has met."""
    return RunLimitError(f"{path}: onnxruntime was stopped, as one run {error}.")


def open_session(path: Path, *, libraries: Iterable[str] = ()) -> Session:
    """Load a file that is not open, with onnxruntime's optimisations.

    Args:
        path: The file.
        libraries: Custom operator libraries to load.

    Raises:
        OnnxFileError: It is no ONNX model, or its external data cannot be read.
        RuntimeFailedError: onnxruntime does not load it.
    """
    with OnnxContainer.open(path) as container:
        source = file_source(container)
        return Session(path, source=source, libraries=libraries)
