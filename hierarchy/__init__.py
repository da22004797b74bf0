"""The vocabulary that tracing and annotating share; no torch, no onnxruntime."""

from typing import TYPE_CHECKING

from hierarchy.lazily import lazily

if TYPE_CHECKING:
    from hierarchy.errors import ModelExportError
    from hierarchy.module_tree import Module, ModuleTree, Parameter
    from hierarchy.record import Record, read_record, record_path
    from hierarchy.tags import Tagger, TagRules, TagStyle, TorchNN
else:
    __getattr__ = lazily(
        __name__,
        {
            "errors": ["ModelExportError"],
            "module_tree": ["Module", "ModuleTree", "Parameter"],
            "record": ["Record", "read_record", "record_path"],
            "tags": ["TagRules", "TagStyle", "Tagger", "TorchNN"],
        },
    )

__all__ = [
    "ModelExportError",
    "Module",
    "ModuleTree",
    "Parameter",
    "Record",
    "TagRules",
    "TagStyle",
    "Tagger",
    "TorchNN",
    "read_record",
    "record_path",
]
