"""The vocabulary of all other rooms: module tree, tags, record, fingerprints, choices.

Neither torch nor onnxruntime is imported here.
"""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.hierarchy.choices import TagStyle, TorchNN
    from modelexport.hierarchy.module_tree import Module, ModuleTree, Parameter
    from modelexport.hierarchy.record import Record, read_record, record_path
    from modelexport.hierarchy.tags import Tagger, TagRules
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "choices": ["TagStyle", "TorchNN"],
            "module_tree": ["Module", "ModuleTree", "Parameter"],
            "record": ["Record", "read_record", "record_path"],
            "tags": ["TagRules", "Tagger"],
        },
    )

__all__ = [
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
