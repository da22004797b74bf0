"""The trace record: everything that `annotate` knows about a traced model.

A record is one JSON file beside the ONNX file. It holds no weights, no absolute paths and no user
names. `docs/record.md` explains the format; `docs/record.schema.json` is generated from the
classes here. `read_record` refuses a file that is not a record, is damaged, or has a newer
version.
"""

import re
import sys
from functools import cached_property
from pathlib import Path

import msgspec

from modelexport.errors import FileProblem, RecordError
from modelexport.hierarchy.fingerprints import ValueFingerprint, WeightFingerprint
from modelexport.hierarchy.module_tree import MAX_MODULES, Module, ModuleTree
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error
from modelexport.support.files import check_target
from modelexport.support.real_paths import real_path
from modelexport.support.stdio import STDIO

FORMAT = "modelexport.trace"
VERSION = 1
"""The newest version of the format that can be read."""

SUFFIX = ".trace.json"


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was traced, and by which software.

    Attributes:
        name: Hub id, base name of the folder, or `module:factory`.
        exporter: The exporter that wrote the plain file; `eager` when there is no plain file.
        opset: Opset of the default domain in the plain file; 0 when there is no plain file.
        why: Which exporter and opset were chosen or changed for the user, and why.
        task: The task by which the architecture was chosen; None when the user gave no task.
        versions: Versions of torch, transformers, onnx, onnxscript and modelexport.
    """

    name: str
    exporter: str
    opset: int
    why: tuple[str, ...] = ()
    task: str | None = None
    versions: dict[str, str] = {}


class MergedCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of torch's operators that the exporter merged with others into one node.

    Attributes:
        module: Path of the module in whose forward it ran.
        value: Fingerprint of what it returned on the probe inputs. No node of the plain file
            computes it. None for the last call, which returned what the node computes.
    """

    module: str
    value: ValueFingerprint | None = None


class Op(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node of the plain file; in an eager record, one operator call of torch.

    Attributes:
        graph: Path of its graph, see `hierarchy.graph_paths`; "" is the main graph.
        index: Its position in that graph, from 0.
        name: Node name.
        op_type: ONNX operator type, with its domain in front when that is not the default domain
            (`com.microsoft::FusedMatMul`). In an eager record torch's name (`aten::addmm`).
        outputs: Names of its outputs; "" for an omitted output.
        module: Path of the module in whose forward it ran; None when unknown.
        call: In which call of that module it ran, from 0.
        scope_from: How the module was found, a `ScopeOrigin`: `exporter`, `values` or `eager`;
            None when it is unknown.
        source: `file:line` of the Python code, relative to the folder that Python imports from.
        values: Fingerprint of each output on the probe inputs; None for an output without one.
        inputs: Names of its inputs; empty when the record does not have them.
        also: Other modules whose work it does too (for example, of a batch normalisation that the
            exporter folded into a convolution).
        overruled: The module that the exporter gave, where the values of an eager run contradict
            it. `module` is then the one that computes the values.
        other_sources: Other lines like `source`. Only ops that were made from the nodes of an
            annotated file have them, where a fused node has several lines.
        merged: The calls of torch's operators whose work it does, in the order of the run, where
            these ran in several modules and an eager run shows them.
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
    overruled: str | None = None
    other_sources: tuple[str, ...] = ()
    merged: tuple[MergedCall, ...] = ()


class Tensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One initializer of the plain file.

    Attributes:
        name: Its name in the graph.
        parameter: Qualified name of the parameter or buffer that it holds, as it is or
            transposed; None for a constant that the exporter made.
        weight: Its fingerprint; None for a type without one.
        graph: Path of its graph.
    """

    name: str
    parameter: str | None = None
    weight: WeightFingerprint | None = None
    graph: str = ""


class Constant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that a module computes without any input of the model.

    Attributes:
        module: Path of the module.
        value: Fingerprint of the value.
    """

    module: str
    value: ValueFingerprint


class Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """The inputs on which the fingerprints of values were computed.

    Attributes:
        inputs: The inputs, in the order of the plain file.
        missing: Why there are no fingerprints of values; None when there are.
    """

    inputs: tuple[ProbeInput, ...] = ()
    missing: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A trace record; see the docstring of this file.

    Attributes:
        format, version: The name and the version of the format.
        source: What was traced.
        digest: `graph_digest` of the plain file; empty when there is no plain file.
        modules: Every module under every path.
        ops: The nodes of the plain file.
        tensors: The initializers of the plain file.
        probe: The inputs on which fingerprints of values were computed.
        absent: Parameters and buffers that no initializer of the plain file holds: the exporter
            folded them into others, or the model never read them. Another file of the model may
            hold them.
        constants: Values that modules compute without any input, and that exporters fold.
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
        """The modules by path."""
        return ModuleTree(self.modules)


class _Header(msgspec.Struct):
    format: str = ""
    version: int = 0


def record_path(model: Path) -> Path:
    """The default path of the record of an ONNX file.

    >>> record_path(Path("out/model.onnx")).name
    'model.trace.json'
    """
    return model.parent / (model.stem + SUFFIX)


def check_targets(onnx_path: Path | None, record: Path | None, *, force: bool) -> None:
    """Refuse files that could not be written, before a model is loaded.

    Args:
        onnx_path: The ONNX file; None when only a record is to be written.
        record: The record; None for the default path.
        force: Whether existing files may be overwritten.

    Raises:
        FileProblem: A file exists or cannot be written, or both paths are the same file.
    """
    default = None if onnx_path is None else record_path(onnx_path)
    if onnx_path is not None and record is not None and real_path(record) == real_path(onnx_path):
        raise FileProblem(f"{record}: the record and the ONNX file are one file.")
    for target in filter(None, (onnx_path, record or default)):
        check_target(target, force=force)


def encode_record(record: Record) -> bytes:
    """The record as JSON, with one module, op or tensor a line, for people to read and compare."""
    text = msgspec.json.encode(record)
    return re.sub(rb'(?<=[\]}"0-9]),(?=\{"(?:graph|name|path)":)', b",\n", text) + b"\n"


def read_record(path: str | Path) -> Record:
    """Read a record; from standard input when the path is `-`.

    Examples:
        >>> from modelexport import read_record
        >>> [module.path for module in read_record("net.trace.json").modules][:3]
        ['', 'layer', 'layer.0']

    Raises:
        RecordError: The file does not exist, is not a record, is damaged, or has a newer version.
    """
    path = Path(path)
    if path == STDIO:
        return decode_record(sys.stdin.buffer.read(), "standard input")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise RecordError(f"{path}: there is no such record.") from error
    except OSError as error:
        raise RecordError(f"{path}: the record cannot be read ({error.strerror}).") from error
    return decode_record(data, str(path))


def decode_record(data: bytes, file: str) -> Record:
    """Decode the content of a record file.

    Args:
        data: The content.
        file: Name of the file, for errors.

    Raises:
        RecordError: The content is not a record, is damaged, or has a newer version.
    """
    try:
        header = msgspec.json.decode(data, type=_Header)
    except DECODE_ERRORS as error:
        raise RecordError(f"{file}: not a trace record ({explain_decode_error(error)}).") from error
    if header.format != FORMAT:
        raise RecordError(f'{file}: not a trace record (its "format" is not "{FORMAT}").')
    if header.version > VERSION:
        raise RecordError(
            f"{file}: a record of format version {header.version}, but this modelexport reads up "
            f"to {VERSION}: update modelexport or trace again."
        )
    try:
        record = msgspec.json.decode(data, type=Record)
    except DECODE_ERRORS as error:
        raise RecordError(
            f"{file}: the record is damaged ({explain_decode_error(error)})."
        ) from error
    if not any(module.path == "" for module in record.modules):
        raise RecordError(f"{file}: the record is damaged (it has no root module).")
    if len(record.modules) > MAX_MODULES:
        raise RecordError(
            f"{file}: the record has {len(record.modules):,} modules, more than {MAX_MODULES:,}."
        )
    return record
