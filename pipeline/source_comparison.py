"""Comparing a model in torch with an ONNX file: what `modelexport compare SOURCE FILE` does."""

from collections.abc import Mapping
from pathlib import Path

from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.part_files import part_of_file
from modelexport.hierarchy.record import Record
from modelexport.pipeline.inputs_like_the_file import load_beside_file
from modelexport.pipeline.loaded_comparison import ComparisonRequest, check_request, compare_loaded
from modelexport.pipeline.parts.loaded_parts import load_parts
from modelexport.rewriter import ModelComparison, Numeric


def compare_source(
    source: str,
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    reference: str | Path | None = None,
    numeric: Numeric = Numeric(),  # noqa: B008 - frozen
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    module: str | None = None,
    depth: int | None = None,
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
        numeric: How the file is run and compared.
        options: How the model is loaded.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        module: Path or tag of a module, to compare only it and what is below it.
        depth: How many steps below that (or below the root) modules are shown.

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
    request = ComparisonRequest(source, record or own, reference, numeric, options, module, depth)
    check_request(path, request)
    if part is None:
        loaded = load_beside_file(source, options, input_specs, request.recorded(), Path(path))
        return compare_loaded(loaded, path, request)
    with load_parts(source, options, input_specs).as_file(part) as loaded:
        return compare_loaded(loaded, path, request)
