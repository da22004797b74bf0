"""Comparing a model in torch with a folder of parts: `modelexport compare SOURCE FOLDER`."""

from pathlib import Path
from typing import Unpack

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_files import PartFiles, file_of_role, part_files
from modelexport.pipeline.loaded_comparison import (
    ComparisonKeywords,
    ComparisonOptions,
    ComparisonRequest,
    check_request,
    compare_loaded,
)
from modelexport.pipeline.parts.loaded_parts import load_parts
from modelexport.pipeline.parts.module_search import those_that_have
from modelexport.rewriter import ModelComparison


def compare_source_parts(
    source: str,
    folder: str | Path,
    *,
    record: str | Path | None = None,
    reference: str | Path | None = None,
    **how: Unpack[ComparisonKeywords],
) -> dict[PartRole, ModelComparison]:
    """Compare each file in a folder of parts with what the model does in that part, in torch.

    Args:
        source: As for `trace_parts`.
        folder: The folder.
        record: A folder of parts with other records; by default each part has its own.
        reference: The folder of the float files, for `Numeric.suggest`.
        how: Options by name, as for `compare_source`.

    Raises:
        FileProblem: The folder has a part that the model does not have, or a file is missing.
        ModelExportError: As `trace_parts` and `compare` do.
    """
    comparison = ComparisonOptions(**how)

    def request_of(part: PartFiles) -> ComparisonRequest:
        other = None if record is None else file_of_role(Path(record), part.role, record=True)
        float_file = None if reference is None else file_of_role(Path(reference), part.role)
        return ComparisonRequest(source, other or part.existing_record(), float_file, comparison)

    files = part_files(Path(folder))
    requests = {part.role: request_of(part) for part in files}
    for part in files:
        check_request(part.onnx, requests[part.role])
    parts = load_parts(source, comparison.options, comparison.input_specs)

    def compare_part(file: PartFiles) -> ModelComparison:
        with parts.as_file(file) as loaded:
            return compare_loaded(loaded, file.onnx, requests[file.role])

    return {file.role: result for file, result in those_that_have(files, compare_part)}
