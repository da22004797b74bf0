"""The trace record: everything that annotating needs to know about a traced model.

One JSON file beside the ONNX file. It holds no weights, no absolute path and no user name.
`docs/record.md` explains it, `docs/record.schema.json` is generated from these classes.
"""

import re
import sys
import zlib
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from modelexport.errors import FileProblem, RecordError
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, WeightFingerprint
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.files import check_target
from modelexport.support.stdio import STDIO

FORMAT = "modelexport.trace"
VERSION = 1
SUFFIX = ".trace.json"


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was traced, and with what.

    Attributes:
        name: Hub id, base name of the folder, or `module:factory`.
        exporter: The exporter that wrote the plain file; `eager` when there is no such file.
        opset: Of the default domain in the plain file; 0 when there is none.
        why: Why this exporter and opset, when they were chosen or changed for the user.
        task: The task whose architecture was loaded, when one was asked for.
        versions: Of torch, transformers, onnx and modelexport.
    """

    name: str
    exporter: str
    opset: int
    why: tuple[str, ...] = ()
    task: str | None = None
    versions: dict[str, str] = {}


class Op(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node of the plain file.

    Attributes:
        graph: Path of the graph that holds it, see `hierarchy.graph_paths`; "" is the main graph.
        index: Position within that graph.
        name: Node name.
        op_type: ONNX operator, with its domain in front when that is not the default one
            (`com.microsoft::FusedMatMul`). In an eager record torch's (`aten::addmm`).
        outputs: Names of its outputs ("" for an omitted one).
        inputs: Names of its inputs, by which neighbours are compared; empty in a record
            that does not say.
        module: Path of the module in whose forward it ran; None when unknown.
        also: Other modules whose work it does as well (of a normalisation that the exporter
            folded into a convolution, say).
        call: Which call of that module, from 0.
        scope_from: `exporter` when the exporter said so, `values` when the eager run
            settled it, `eager` when this is the eager run; None when unknown.
        source: `file:line` of the Python code, relative to its package.
        values: Fingerprint of each output on the probe inputs, None for what has none.
    """

    graph: str
    index: int
    name: str
    op_type: str
    outputs: tuple[str, ...]
    module: str | None = None
    call: int = 0
    scope_from: str | None = None
    source: str | None = None
    values: tuple[ValueFingerprint | None, ...] = ()
    inputs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class Tensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One initializer of the plain file.

    Attributes:
        name: Its name in the graph.
        parameter: Qualified name of the parameter or buffer that it holds, transposed or
            not; None for a constant of the exporter's making.
        weight: Its fingerprint.
        graph: Path of the graph that holds it.
    """

    name: str
    parameter: str | None = None
    weight: WeightFingerprint | None = None
    graph: str = ""


class Constant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that a module computes from no input.

    Attributes:
        module: Path of the module.
        value: Its fingerprint.
    """

    module: str
    value: ValueFingerprint


class ProbeInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input of the probe: raw little-endian bytes, or strings as JSON, deflated."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, name: str, array: Array) -> "ProbeInput":
        """Pack an array."""
        if array.dtype.kind == "O":
            strings = msgspec.json.encode(array.reshape(-1).tolist())
            return cls(name, array.dtype.name, array.shape, zlib.compress(strings, 6))
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        return cls(name, array.dtype.name, array.shape, zlib.compress(little.tobytes(), 6))

    def array(self) -> Array:
        """Unpack the array."""
        if self.dtype == "object":
            strings = msgspec.json.decode(zlib.decompress(self.data), type=list[str])
            return np.array(strings, object).reshape(self.shape)
        dtype = np.dtype(self.dtype).newbyteorder("<")
        return np.frombuffer(zlib.decompress(self.data), dtype).reshape(self.shape)


class Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """The inputs on which the fingerprints were taken.

    Attributes:
        inputs: In the order of the plain file's inputs.
        missing: Why there are no fingerprints, when there are none.
    """

    inputs: tuple[ProbeInput, ...] = ()
    missing: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A trace record; see the module's docstring.

    Attributes:
        format, version: Of this file.
        source: What was traced.
        digest: Of the plain file; empty when there is none.
        modules, ops, tensors, probe: What the plain file is made of, and ran on.
        absent: Parameters and buffers that no initializer of the plain file holds: folded into
            others, or never read. Another file of the model may have them.
        constants: What modules compute from no input, which exporters fold away.
    """

    format: str = FORMAT
    version: int = VERSION
    source: Source
    digest: str
    modules: tuple[Module, ...]
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    probe: Probe
    absent: tuple[Tensor, ...] = ()
    constants: tuple[Constant, ...] = ()

    @cached_property
    def tree(self) -> ModuleTree:
        """Lookups over the modules."""
        return ModuleTree(self.modules)


class _Header(msgspec.Struct):
    format: str = ""
    version: int = 0


def record_path(model: Path) -> Path:
    """Where the record of an ONNX file stands unless the user says otherwise.

    >>> record_path(Path("out/model.onnx")).name
    'model.trace.json'
    """
    return model.with_name(model.stem + SUFFIX)


def check_targets(onnx_path: Path | None, record: Path | None, *, force: bool) -> None:
    """Refuse what could not be written, before a model is loaded for it.

    Args:
        onnx_path: The ONNX file; None when only a record is to be written.
        record: The record; None for the one beside the file.
        force: Whether existing files may be overwritten.

    Raises:
        FileProblem: A file exists, or cannot be written.
    """
    beside = None if onnx_path is None else record_path(onnx_path)
    if onnx_path is not None and record is not None and record.resolve() == onnx_path.resolve():
        raise FileProblem(f"{record}: the record and the ONNX file are one file.")
    for target in filter(None, (onnx_path, record or beside)):
        check_target(target, force=force)


def encode_record(record: Record) -> bytes:
    """The record as JSON, one op or tensor a line, so that a person can page and diff it."""
    text = msgspec.json.encode(record)
    return re.sub(rb'(?<=[\]}"0-9]),(?=\{"(?:graph|name|path)":)', b",\n", text) + b"\n"


def read_record(path: Path) -> Record:
    """Read a record; from standard input when the path is `-`.

    Raises:
        RecordError: The file is missing, no record, damaged, or of a newer version.
    """
    if path == STDIO:
        return decode_record(sys.stdin.buffer.read(), "standard input")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"{path}: there is no such record.") from error
    except OSError as error:
        raise RecordError(f"{path}: the record cannot be read ({error.strerror}).") from error
    return decode_record(data, str(path))


def decode_record(data: bytes, where: str) -> Record:
    """Decode a record's bytes; `where` names the file in errors."""
    try:
        header = msgspec.json.decode(data, type=_Header)
    except msgspec.DecodeError as error:
        raise RecordError(
            f"{where}: not a trace record ({explain_decode_error(error)})."
        ) from error
    if header.format != FORMAT:
        raise RecordError(f'{where}: not a trace record (its "format" is not "{FORMAT}").')
    if header.version > VERSION:
        raise RecordError(
            f"{where}: a record of format version {header.version}, but this modelexport reads up "
            f"to {VERSION}: update modelexport or trace again."
        )
    try:
        record = msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError as error:
        raise RecordError(
            f"{where}: the record is damaged ({explain_decode_error(error)})."
        ) from error
    if not any(module.path == "" for module in record.modules):
        raise RecordError(f"{where}: the record is damaged (it has no root module).")
    return record
