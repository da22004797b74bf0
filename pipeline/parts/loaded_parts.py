"""A generating model in memory, with what it does in each of its parts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from modelexport.errors import FileProblem, SourceError
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.part_files import PartFiles
from modelexport.pipeline.source_tracing import load_source
from modelexport.support.progress import report_step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded
    from modelexport.tracer.sources.generation.call_parts import ModelPart


@dataclass(frozen=True)
class LoadedParts:
    """A generating model.

    Attributes:
        loaded: The whole model, with its inputs.
        parts: Its parts, in the order in which they run.
    """

    loaded: "Loaded"
    parts: "tuple[ModelPart, ...]"

    @contextmanager
    def as_part(self, part: "ModelPart") -> "Iterator[Loaded]":
        """Make the model behave like one of its parts while the body runs.

        Yields:
            The model with the inputs of the part.
        """
        with part.forward_of(self.loaded.model):
            yield replace(self.loaded, inputs=part.inputs, axes=part.axes)

    @contextmanager
    def as_file(self, file: PartFiles) -> "Iterator[Loaded]":
        """Make the model behave like the part in a file of a folder while the body runs.

        Raises:
            FileProblem: The model has no such part.
        """
        part = next((part for part in self.parts if part.role == file.role), None)
        if part is None:
            roles = ", ".join(part.role.words for part in self.parts)
            raise FileProblem(
                f"{file.onnx}: it is the {file.role.words}, and "
                f"{self.loaded.origin.name} has no such part; its parts are {roles}."
            )
        with self.as_part(part) as loaded:
            yield loaded


def load_parts(
    source: str, options: TraceOptions, input_specs: Mapping[str, InputSpec] | None
) -> LoadedParts:
    """Load a generating model, and find its parts by a run.

    Raises:
        ModelExportError: As `load` does; or the model does not generate text.
    """
    if not options.weights:
        raise SourceError(f"{source}: its parts are found by a run, so it needs the weights.")
    whole = msgspec.structs.replace(options, with_past=False, task=options.plain_task)
    loaded = load_source(source, whole, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    report_step("generating")
    return LoadedParts(loaded, tracer.model_parts(loaded.model, loaded.inputs))
