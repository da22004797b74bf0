"""onnxruntime, as far as we need it: load a file, make inputs, run, compare bits.

The one module that imports onnxruntime.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.probe_numbers import SWITCHES, distinct, flags
from modelexport.rewriter.container import SessionSource
from modelexport.support.error_texts import first_line

Array = npt.NDArray[Any]
Feeds = dict[str, Array]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
} | {
    f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

_FOLDER = "session.model_external_initializers_file_folder_path"

_OPEN_SIZES = ((2, 9), (2, 2), (1, 1), (2, 8), (2, 16), (2, 32), (2, 64), (2, 224), (4, 4), (1, 8))
"""Sizes tried for dimensions that the file leaves open: the first of an input, and the others."""

_RANGES = (1 << 15, 1 << 12, 1 << 10, 1 << 8, 1 << 6, 1 << 5, 1 << 4, 1 << 3)
"""How far integers are tried to reach; what runs on none of these gets zeros and ones."""


class Session:
    """A file in onnxruntime, on one thread so that every run gives the same bits.

    Args:
        path: The file.
        source: What to load in its place (the file with more outputs, say).
        plain: Run it as it stands, nothing optimised, for one run only.
        libraries: Custom operator libraries to load.

    Raises:
        RuntimeFailedError: onnxruntime does not load it.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: SessionSource | None = None,
        plain: bool = False,
        libraries: Iterable[str] = (),
    ) -> None:
        self._path = path
        import onnxruntime as ort  # noqa: PLC0415 - heavy, and not every reader of a file runs it

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised; nothing else is of interest
        if plain:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_mem_pattern = False
            options.enable_cpu_mem_arena = False  # it takes new pages from the system each time
        if source is not None:
            options.add_session_config_entry(_FOLDER, str(source.folder))
        try:
            for library in libraries:
                options.register_custom_ops_library(library)
            self._session = ort.InferenceSession(
                str(path) if source is None else source.model,
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # onnxruntime's errors share no base class
            raise RuntimeFailedError(
                f"{path}: onnxruntime cannot load it ({first_line(error)})."
            ) from error

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Outputs by name.

        Raises:
            RuntimeFailedError: It does not run on these inputs.
        """
        names = [value.name for value in self._session.get_outputs()]
        return dict(zip(names, self.fetch(names, feeds), strict=True))

    def fetch(self, names: list[str], feeds: Mapping[str, Array]) -> list[Any]:
        """Some outputs, in the order of their names.

        Raises:
            RuntimeFailedError: It does not run on these inputs.
        """
        try:
            return list(self._session.run(names, dict(feeds)))
        except Exception as error:  # onnxruntime's errors share no base class
            raise RuntimeFailedError(
                f"{self._path}: onnxruntime cannot run it ({first_line(error)})."
            ) from error

    def working_feeds(self, *, differing: bool = False) -> Feeds:
        """Generated inputs on which the file runs.

        Args:
            differing: Let the numbers differ as far as the file takes them. Zeros and ones run
                nearly everywhere; from there on each input of integers gets the widest range
                under which the outputs stay numbers. That takes some more runs.

        Raises:
            RuntimeFailedError: It runs on none that we know to generate.
        """
        failure: RuntimeFailedError | None = None
        for sizes in _OPEN_SIZES:
            feeds = self._generate(*sizes)
            try:
                outputs = self.run(feeds)
            except RuntimeFailedError as error:
                failure = failure or error
            else:
                return self._widened(feeds, outputs) if differing else feeds
        assert failure is not None
        raise failure

    def _widened(self, feeds: Feeds, outputs: Mapping[str, object]) -> Feeds:
        """Let integers differ: the widest range of each input on which the file still runs."""
        numbers = _share_of_numbers(outputs)
        positive = {n: np.abs(a) if a.dtype.kind == "f" else a for n, a in feeds.items()}
        if numbers < 1 and (share := _share_of_numbers(self.run(positive))) > numbers:
            feeds, numbers = positive, share  # it takes roots or logarithms of them
        for name, array in feeds.items():
            if array.dtype.kind not in "iu" or array.size <= SWITCHES:
                continue
            for limit in _RANGES:
                wider = feeds | {name: _distinct(array, limit)}
                try:
                    good = _share_of_numbers(self.run(wider)) >= numbers
                except RuntimeFailedError:
                    continue  # an index beyond a table, say
                if good:
                    feeds = wider
                    break
        return feeds

    def _generate(self, first: int, others: int) -> Feeds:
        random = np.random.default_rng(0)
        feeds: Feeds = {}
        named: dict[str, int] = {}
        for value in self._session.get_inputs():
            dtype = _DTYPES.get(value.type)
            if dtype is None:
                raise RuntimeFailedError(
                    f"{self._path}: input {value.name} is a {value.type}, for which no data can be "
                    "generated: give a record with --record."
                )
            shape = []
            for place, extent in enumerate(value.shape):
                size = others if place else first
                if isinstance(extent, str):
                    size = named.setdefault(extent, size)
                shape.append(extent if isinstance(extent, int) else size)
            feeds[value.name] = _fill(dtype, shape, random)
        return feeds


def _distinct(array: Array, limit: int) -> Array:
    """Integers of the array's shape and type, below a limit."""
    numbers = distinct(array.size, min(limit, np.iinfo(array.dtype).max))
    return numbers.astype(array.dtype).reshape(array.shape)


def _share_of_numbers(outputs: Mapping[str, object]) -> float:
    """How much of some outputs is neither infinite nor no number at all."""
    floats = [a for a in outputs.values() if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    finite = sum(int(np.isfinite(array).sum()) for array in floats)
    return finite / max(1, sum(array.size for array in floats))


def same_bits(left: object, right: object) -> bool:
    """Whether two outputs are the same, bit for bit; sequences and maps are compared within."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        if left.dtype == object:
            return bool((left == right).all())
        return left.tobytes() == right.tobytes()
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_bits, left, right))
    return type(left) is type(right) and bool(left == right)


def _fill(dtype: str, shape: Iterable[int], random: np.random.Generator) -> Array:
    shape = tuple(shape)
    if dtype == "object":
        return np.full(shape, "a", dtype=object)
    if dtype == "bool":
        return np.ones(shape, dtype=bool)
    if dtype.startswith("float"):
        return random.standard_normal(shape).astype(dtype)
    return flags(math.prod(shape)).astype(dtype).reshape(shape)
