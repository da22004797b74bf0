"""Comparing a model in torch with an ONNX file: what `modelexport compare SOURCE FILE` does."""

from pathlib import Path
from typing import Unpack

from modelexport.hierarchy.part_files import part_of_file
from modelexport.hierarchy.record import Record
from modelexport.pipeline.inputs_like_the_file import load_beside_file
from modelexport.pipeline.loaded_comparison import (
    ComparisonKeywords,
    ComparisonOptions,
    ComparisonRequest,
    check_request,
    compare_loaded,
)
from modelexport.pipeline.parts.loaded_parts import load_parts
from modelexport.rewriter import ModelComparison


def compare_source(
    source: str,
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    reference: str | Path | None = None,
    **how: Unpack[ComparisonKeywords],
) -> ModelComparison:
    """Run a model in torch, and compare what its modules return with what an ONNX file computes.

    A file in a folder of parts is compared with what the model does in that part.

    Args:
        source: As for `trace_source`.
        path: An annotated file; any file of the model with a record. Without both, the model is
            recorded first.
        record: A trace record of the model, or its path. Its inputs are used, unless `numeric`
            names others. A file in a folder of parts has its own by default.
        reference: The float file, for `Numeric.suggest`.
        how: Options by name, see `ComparisonOptions`: `numeric`, `options`, `input_specs`,
            `module`, `depth`, `memory`.

    Examples:
        >>> from modelexport import compare_source
        >>> result = compare_source("net.py:build", "net.annotated.onnx")
        >>> result.same, result.first
        (True, None)
        >>> compare_source("net.py:build", "changed.onnx", record="net.trace.json").first
        '/Net/layer.1/fc'

    Raises:
        ModelExportError: As `load` and `compare` do.
    """
    part = part_of_file(Path(path))
    own = None if part is None else part.existing_record()
    comparison = ComparisonOptions(**how)
    options, input_specs = comparison.options, comparison.input_specs
    request = ComparisonRequest(source, record or own, reference, comparison)
    check_request(path, request)
    if part is None:
        loaded = load_beside_file(source, options, input_specs, request.recorded(), Path(path))
        return compare_loaded(loaded, path, request)
    with load_parts(source, options, input_specs).as_file(part) as loaded:
        return compare_loaded(loaded, path, request)
