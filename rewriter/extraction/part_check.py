"""Checking a part: on the values of the whole file it must compute the same bits."""

from pathlib import Path

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.generated_feeds import generate_feeds
from modelexport.rewriter.execution.outputs import same_bits
from modelexport.rewriter.execution.session import Session, open_session
from modelexport.rewriter.extraction.graph_parts import GraphPart


def whole_values(
    file: PlacedFile, part: GraphPart, libraries: list[str], feeds: Feeds | None = None
) -> dict[str, Array]:
    """The values that enter and leave a part, when the whole file runs without optimisations.

    Args:
        file: The whole file.
        part: The part.
        libraries: Custom operator libraries that onnxruntime loads.
        feeds: Inputs of the whole file; generated ones by default.

    Raises:
        RuntimeFailedError: The whole file does not run.
    """
    if feeds is None:
        session = Session(file.path, source=file.session_source(), libraries=libraries)
        feeds = generate_feeds(session, distinctive=True)
    fed = {name: feeds[name] for name in part.inputs if name in feeds}
    names = list(dict.fromkeys([*part.inputs, *part.outputs]))
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.output[:]
    expose_values(model.graph, [name for name in names if name not in fed])
    source = session_source(file.container, model)
    values = Session(file.path, source=source, plain=True, libraries=libraries).run(feeds)
    return fed | values


def check_part(
    file: PlacedFile,
    model: onnx.ModelProto,
    written: str | Path | None,
    part: GraphPart,
    values: dict[str, Array],
    libraries: list[str],
) -> list[str]:
    """The outputs of a part that differ from those of the whole file in any bit.

    Args:
        file: The whole file.
        model: The part.
        written: The file of the part; None to run it from memory.
        part: The part.
        values: What the whole file computes, see `whole_values`.
        libraries: Custom operator libraries that onnxruntime loads.

    Raises:
        RuntimeFailedError: The part does not run.
    """
    if written is None:
        source = session_source(file.container, model)
        session = Session(file.path, source=source, plain=True, libraries=libraries)
    else:
        session = open_session(Path(written), plain=True, libraries=libraries)
    outputs = session.run({name: values[name] for name in part.inputs})
    return [name for name in part.outputs if not same_bits(outputs[name], values[name])]
