"""The events of onnxruntime's profile. Only what is used of them is decoded."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import RuntimeFailedError
from modelexport.support.decode_errors import DECODE_ERRORS
from modelexport.support.error_texts import first_line
from modelexport.support.progress import report_step

_SUFFIX = "_kernel_time"
_NODE, _RUN = "Node", "model_run"


class Arguments(msgspec.Struct, frozen=True, gc=False):
    """What an event says about a node.

    Attributes:
        op_name: Its operator.
        node_index: Its number: nodes of one name differ in it.
        provider: What executed it.
    """

    op_name: str = ""
    node_index: str | int = ""
    provider: str = ""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. Times are in microseconds.

    Attributes:
        name: Of what happened.
        cat: Its kind.
        ts: When it began.
        dur: How long it took.
        tid: Number of the thread.
        args: What it says about a node.
    """

    name: str = ""
    cat: str = ""
    ts: float = 0.0
    dur: float = 0.0
    tid: int = 0
    args: Arguments = Arguments()

    @property
    def end(self) -> float:
        """When it ended."""
        return self.ts + self.dur

    @property
    def is_run(self) -> bool:
        """Whether it is a run of the whole file."""
        return self.name == _RUN

    @property
    def is_kernel(self) -> bool:
        """Whether it is the execution of a node."""
        return self.cat == _NODE and self.name.endswith(_SUFFIX)

    @property
    def node(self) -> str:
        """Name of the node, for the execution of one."""
        return self.name.removesuffix(_SUFFIX)


def is_onnxruntime(document: Any) -> bool:
    """Whether a JSON document is a profile of onnxruntime."""
    return isinstance(document, list) and any(
        isinstance(event, dict) and event.get("cat") == _NODE and "ts" in event
        for event in document
    )


def events_of(document: Iterable[Any]) -> list[Event]:
    """The runs and executions of nodes in a JSON document.

    Raises:
        msgspec.ValidationError: A value has another type than in onnxruntime's profiles.
    """
    entries = (
        entry
        for entry in document
        if isinstance(entry, dict) and (entry.get("cat") == _NODE or entry.get("name") == _RUN)
    )
    return [msgspec.convert(entry, Event, strict=False) for entry in entries]


def read_events(events: Path, path: Path) -> list[Event]:
    """Read the profile that onnxruntime wrote. It has no escapes for characters in names.

    Args:
        events: The profile.
        path: The file that ran, for messages.

    Raises:
        RuntimeFailedError: It is no JSON.
    """
    content = events.read_bytes()
    try:
        return msgspec.json.decode(content, type=list[Event])  # many times faster
    except DECODE_ERRORS:
        report_step("reading the profile")
    try:
        return events_of(json.loads(content.decode(errors="replace"), strict=False))
    except (ValueError, RecursionError, *DECODE_ERRORS) as error:
        raise RuntimeFailedError(
            f"{path}: the profile that onnxruntime wrote cannot be read ({first_line(error)})."
        ) from error
