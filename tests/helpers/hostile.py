"""Files in which every text carries what a terminal would obey, hide or take for markup."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import EmbeddedTree, Module
from tests.helpers.handmade import parse

FORGED = "modelexport: all is well"
"""What a hostile text writes on a line of its own."""

CONTROLS = "\x1b]0;title\x07\x1b[31m\x9b1m\x00\x08\r\x7f\t\u202e\u2066\u200b\ufeff\u2028"
NAME = f"{CONTROLS}.onnx".replace("\0", "")
"""A hostile name that a file can have."""
READABLE = "日本ünï🙂"
MARKUP = "<b>|[bold](ftp:x)![i](x)`c`*e* __f__<ftp:x>"
"""Markup of HTML, of markdown and of rich; no slash, which is an escape in tags."""
HOSTILE = f"{CONTROLS}\n{FORGED}\n{MARKUP}{READABLE}"

OBEYED = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)
"""What may not reach a terminal: all control characters but the line feed, and what hides."""

_CHAIN = """g (float[2, M] x) => (float[2, M] d) {
    [one] a = Relu (x)
    [two] b = Tanh (a)
    [three] c = Exp (b)
    [four] d = Add (c, w)
}"""


def hostile_tree() -> tuple[Module, ...]:
    """Modules whose paths, classes and packages are hostile."""
    return (
        Module("", f"Net{HOSTILE}", HOSTILE, calls=1),
        Module(f"a{HOSTILE}", f"Part{HOSTILE}", HOSTILE, calls=1),
        Module(f"b{HOSTILE}", f"Part{HOSTILE}", HOSTILE, calls=1),
    )


def hostile_model(tags: list[str], *, operators: bool) -> onnx.ModelProto:
    """A chain of nodes in which every text of the protobuf message is hostile.

    Args:
        tags: The tag of each node.
        operators: Whether operators and their domains are hostile, too.
    """
    model = parse(_CHAIN)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((2, 1), np.float32), "w"))
    model.producer_name, model.producer_version, model.domain = "p", "v", "d"
    model.doc_string = model.graph.doc_string = "doc"
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("note", "text"))
    spared = set() if operators else {"op_type", "domain"}
    _make_hostile(model, spared)
    if operators:
        model.opset_import.add(domain=HOSTILE, version=1)
    for node, tag in zip(model.graph.node, tags, strict=True):
        for key, value in ((keys.TAG, tag), (keys.EVIDENCE, HOSTILE), (HOSTILE, HOSTILE)):
            node.metadata_props.add(key=key, value=value)
    model.metadata_props.add(key=HOSTILE, value=HOSTILE)
    return model


def with_tree(model: onnx.ModelProto, modules: tuple[Module, ...]) -> onnx.ModelProto:
    """The model with a module tree and with hostile names of parameters."""
    model.metadata_props.add(key=keys.MODULES, value=EmbeddedTree(modules).to_json())
    parameters = msgspec.json.encode({f"w{HOSTILE}": f"a{HOSTILE}.w"}).decode()
    model.metadata_props.add(key=keys.PARAMETERS, value=parameters)
    return model


def _make_hostile(message: Any, spared: set[str]) -> None:
    """Append the hostile text to every text inside a protobuf message but in spared fields."""
    for field, value in list(message.ListFields()):
        if field.name in spared or (field.name == "domain" and not value):
            continue
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == 3
        if field.message_type is not None:
            for inner in value if many else [value]:
                _make_hostile(inner, spared)
        elif field.cpp_type == field.CPPTYPE_STRING and field.type != field.TYPE_BYTES:
            if many:
                value[:] = [f"{text}{HOSTILE}" for text in value]
            else:
                setattr(message, field.name, f"{value}{HOSTILE}")


def texts_in(value: object) -> Iterator[str]:
    """Every text in JSON data, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
