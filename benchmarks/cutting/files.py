"""The files that are cut: each model in each form, as it is and optimised at each level."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import onnxruntime

from attribution.forms import FORMS
from attribution.subjects import make_subject
from modelexport import annotate, trace
from modelexport.errors import ForeignRecordError

AS_IT_IS = "as it is"


class CutFile(msgspec.Struct, frozen=True):
    """A file of a model.

    Attributes:
        model: Name of the model.
        form: How its numbers are held: `fp32`, `int8 static` …
        level: The level at which onnxruntime optimised it, or `as it is`.
        path: The annotated file; it is not there where `annotate` does not know the file.
        weight: About how much work it is, to begin with the longest.
    """

    model: str
    form: str
    level: str
    path: str
    weight: float = 0.0


def make_files(name: str, levels: Sequence[str], folder: Path) -> Iterator[CutFile]:
    """Trace a model, write it in each form at each level, and annotate these files.

    Args:
        name: The model.
        levels: `as it is`, or the levels.
        folder: Where they go.
    """
    model, inputs = make_subject(name)
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "plain.onnx"
    record = trace(model, inputs, plain, force=True).record
    feeds = {entry.name: entry.to_array() for entry in record.probe.inputs}
    for form, write in FORMS.items():
        source = folder / f"{form.replace(' ', '_')}.onnx"
        write(plain, source, feeds)
        for level in levels:
            target = source if level == AS_IT_IS else _optimised(source, level)
            ready = target.with_name(f"{name}.{target.stem}.annotated.onnx")
            try:
                annotate(target, record, ready, force=True)
            except ForeignRecordError as error:
                print(f"  {error}")
            weight = target.stat().st_size ** 0.5 * len(record.ops)
            yield CutFile(name, form, level, str(ready), weight)


def _optimised(source: Path, level: str) -> Path:
    """The file that onnxruntime saves at a level."""
    target = source.with_name(f"{source.stem}.{level}.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    prefix = "ORT_DISABLE_ALL" if level == "disable" else f"ORT_ENABLE_{level.upper()}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, prefix)
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options)
    return target
