"""The vocabulary that tracing and annotating share; no torch, no onnxruntime."""

from hierarchy.errors import ModelExportError
from hierarchy.module_tree import Module, ModuleTree, Parameter
from hierarchy.record import Record, read_record, record_path
from hierarchy.tags import Tagger, TagRules, TagStyle, TorchNN

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
