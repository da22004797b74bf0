"""Checking a part: it runs on what the whole file computes, and gives the same bits."""

from pathlib import Path

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.generated_feeds import generate_feeds
from modelexport.rewriter.execution.outputs import same_bits
from modelexport.rewriter.execution.session import Session
from modelexport.rewriter.extraction.regions import Region


def whole_values(
    file: PlacedFile, region: Region, libraries: list[str], feeds: Feeds | None = None
) -> dict[str, Array]:
    """The values that enter and leave a part, when the whole file runs without optimisations.

    Args:
        file: The whole file.
        region: The part.
        libraries: Custom operator libraries that onnxruntime loads.
        feeds: Inputs of the whole file; generated ones by default.

    Raises:
        RuntimeFailedError: The whole file does not run.
    """
    if feeds is None:
        session = Session(file.path, source=file.session_source(), libraries=libraries)
        feeds = generate_feeds(session, distinctive=True)
    given = {name: feeds[name] for name in region.inputs if name in feeds}
    names = list(dict.fromkeys([*region.inputs, *region.outputs]))
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.output[:]
    expose_values(model.graph, [name for name in names if name not in given])
    source = session_source(file.container, model)
    values = Session(file.path, source=source, plain=True, libraries=libraries).run(feeds)
    return given | values


def check_part(
    file: PlacedFile,
    model: onnx.ModelProto,
    written: str | Path | None,
    region: Region,
    values: dict[str, Array],
    libraries: list[str],
) -> list[str]:
    """The outputs of a part that are not, bit for bit, those of the whole file.

    Args:
        file: The whole file.
        model: The part.
        written: Its file; None to run it from memory.
        region: The part.
        values: What the whole file computes, see `whole_values`.
        libraries: Custom operator libraries that onnxruntime loads.

    Raises:
        RuntimeFailedError: The part does not run.
    """
    source = session_source(file.container, model) if written is None else None
    path = file.path if written is None else Path(written)
    session = Session(path, source=source, plain=True, libraries=libraries)
    outputs = session.run({name: values[name] for name in region.inputs})
    return [name for name in region.outputs if not same_bits(outputs[name], values[name])]
