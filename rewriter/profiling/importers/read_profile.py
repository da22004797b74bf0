"""Reading a profile of any supported format, which its content shows."""

import csv
import json
import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

import msgspec

from modelexport.errors import FileProblem, UsageError
from modelexport.rewriter.profiling.importers import openvino_files, qnn_csv
from modelexport.rewriter.profiling.importers.onnxruntime_events import events_of, is_onnxruntime
from modelexport.rewriter.profiling.importers.onnxruntime_json import read_onnxruntime
from modelexport.rewriter.profiling.importers.trtexec_json import (
    TENSORRT,
    is_trtexec,
    read_trtexec,
)
from modelexport.rewriter.profiling.recorded_profile import RecordedProfile
from modelexport.support.decode_errors import DECODE_ERRORS
from modelexport.support.error_texts import first_line


def read_profile(path: Path, layer_info: Path | None = None) -> RecordedProfile:
    """Read a profile that was recorded elsewhere.

    Args:
        path: The profile.
        layer_info: For a profile of trtexec, the file of --exportLayerInfo.

    Raises:
        FileProblem: A file cannot be read, or its format is not supported.
        UsageError: There is layer information for a profile that is not trtexec's.
    """
    text = _text_of(path)
    try:
        profile = _read(text, layer_info)
        if profile is not None:
            _check(profile)
    except _DAMAGE as error:
        raise FileProblem(f"{path}: the profile is damaged ({first_line(error)}).") from error
    if profile is None:
        raise FileProblem(
            f"{path}: not a profile that can be read: onnxruntime's JSON, trtexec's "
            "--exportProfile, openvino's CSV, JSON or execution graph, or QNN's CSV."
        )
    if layer_info is not None and profile.runtime != TENSORRT:
        raise UsageError(
            f"{path}: a profile of {profile.runtime}; --layer-info is for those of trtexec."
        )
    if not profile.layers:
        raise FileProblem(f"{path}: the profile has no layers that were executed.")
    return profile


_DAMAGE = (
    ParseError,
    csv.Error,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    *DECODE_ERRORS,
)
"""What readers of the formats raise about entries that are missing or of another type."""


def _read(text: str, layer_info: Path | None) -> RecordedProfile | None:
    """The profile; None when its format is not known."""
    if text.startswith(("[", "{")):
        return _read_json(json.loads(text), layer_info)
    if text.startswith("<"):
        root = _xml_of(text)
        graph = openvino_files.is_openvino_graph(root)
        return openvino_files.read_openvino_graph(root) if graph else None
    if text.startswith(openvino_files.CSV_HEAD):
        return openvino_files.read_openvino_csv(text)
    if text.replace(", ", ",").startswith(qnn_csv.CSV_HEAD):
        return qnn_csv.read_qnn(text)
    return None


def _check(profile: RecordedProfile) -> None:
    """Refuse values of other types than declared, which JSON may hold anywhere.

    Raises:
        msgspec.ValidationError: There is one.
        ValueError: A time is not a finite number.
    """
    msgspec.convert(msgspec.to_builtins(profile), RecordedProfile)
    for layer in profile.layers:
        if not all(map(math.isfinite, layer.times)):
            raise ValueError(f"a time of {layer.name} is not a finite number")


def _read_json(document: Any, layer_info: Path | None) -> RecordedProfile | None:
    if is_onnxruntime(document):
        return read_onnxruntime(events_of(document))
    if is_trtexec(document):
        layers = None if layer_info is None else json.loads(_text_of(layer_info))
        return read_trtexec(document, layers)
    if openvino_files.is_openvino_json(document):
        return openvino_files.read_openvino_json(document)
    return None


def _xml_of(text: str) -> Element:
    """The root of an XML document; one that declares entities of its own is refused."""
    if "<!DOCTYPE" in text:
        raise ValueError("it has a document type")
    return fromstring(text)  # noqa: S314 - without a document type there are no entities


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise FileProblem(f"{path}: not a text file.") from error
    except OSError as error:
        raise FileProblem(f"{path}: the profile cannot be read ({error.strerror}).") from error
