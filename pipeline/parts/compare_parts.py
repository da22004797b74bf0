"""Comparing a model in torch with a folder of parts: `modelexport compare SOURCE FOLDER`."""

from collections.abc import Mapping
from pathlib import Path

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.part_files import PartFiles, file_of_role, part_files
from modelexport.pipeline.loaded_comparison import (
    ComparisonRequest,
    check_request,
    compare_loaded,
)
from modelexport.pipeline.parts.loaded_parts import load_parts
from modelexport.pipeline.parts.module_search import those_that_have
from modelexport.rewriter import ModelComparison, Numeric


def compare_source_parts(
    source: str,
    folder: str | Path,
    *,
    record: str | Path | None = None,
    reference: str | Path | None = None,
    numeric: Numeric = Numeric(),  # noqa: B008 - frozen
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    module: str | None = None,
    depth: int | None = None,
) -> dict[PartRole, ModelComparison]:
    """Compare each file in a folder of parts with what the model does in that part, in torch.

    Args:
        source: As for `trace_parts`.
        folder: The folder.
        record: A folder of parts with other records; by default each part has its own.
        reference: The folder of the float files, for `Numeric.suggest`.
        numeric: How files are run and compared. `probe` may have the inputs of all parts.
        options: How the model is loaded.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        module: As for `compare_source`; parts that lack it are left out.
        depth: As for `compare_source`.

    Raises:
        FileProblem: The folder has a part that the model does not have, or a file is missing.
        ModelExportError: As `trace_parts` and `compare` do.
    """

    def request_of(part: PartFiles) -> ComparisonRequest:
        other = None if record is None else file_of_role(Path(record), part.role, record=True)
        return ComparisonRequest(
            source,
            other or part.existing_record(),
            None if reference is None else file_of_role(Path(reference), part.role),
            numeric,
            options,
            module,
            depth,
        )

    files = part_files(Path(folder))
    requests = {part.role: request_of(part) for part in files}
    for part in files:
        check_request(part.onnx, requests[part.role])
    parts = load_parts(source, options, input_specs)

    def compare_part(file: PartFiles) -> ModelComparison:
        with parts.as_file(file) as loaded:
            return compare_loaded(loaded, file.onnx, requests[file.role])

    return {file.role: result for file, result in those_that_have(files, compare_part)}
