"""Translation tables: for operators of torch, the onnxscript functions that stand for them."""

from collections.abc import Callable, Mapping
from typing import Any

from modelexport.errors import SourceError
from modelexport.hierarchy.source_names import parse_factory
from modelexport.tracer.sources.factories import find_object

Translations = Mapping[Callable[..., Any], Any]
"""As torch.onnx.export takes them as `custom_translation_table`."""


def load_translations(source: str | None) -> Translations:
    """Load a table of translations; an empty one where the user names none.

    Args:
        source: `file.py:TABLE` or `package.module:TABLE`.

    Raises:
        SourceError: It cannot be imported, or is not a table.
    """
    if source is None:
        return {}
    names = parse_factory(source)
    if names is None:
        raise SourceError(f"{source}: write a translation table as file.py:TABLE.")
    table = find_object(source, *names)
    if not isinstance(table, Mapping) or not all(map(callable, table)):
        raise SourceError(
            f"{source}: not a translation table, which is a dictionary of operators of torch "
            "(torch.ops.lib.name.default) and onnxscript functions."
        )
    return table
