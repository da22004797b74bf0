"""A changed skeleton is written with the weights of its file, also beyond what protobuf holds."""

import subprocess
import sys
from pathlib import Path

import onnx
from onnx import TensorProto

from modelexport.hierarchy.record import encode_record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.container.copying import write_segments
from modelexport.rewriter.container.skeleton_writing import skeleton_segments
from modelexport.rewriter.container.splicing import ByteSpan
from tests.helpers.folds import blocks_record
from tests.helpers.handmade import two_layers

SIDE = 17_000  # two square float weights of this side are more than 2 GiB

FOLD = """
import sys
from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import annotate, strip, unfold
from pathlib import Path
folder = Path(sys.argv[1])
annotate(folder / "m.onnx", folder / "m.trace.json", folder / "f.onnx", inject=[Inject.FUNCTIONS])
unfold(folder / "f.onnx", folder / "u.onnx")
(folder / "f.onnx").unlink()
for line in Path("/proc/self/status").read_text().splitlines():
    if line.startswith("RssAnon"):
        print(int(line.split()[1]) // 1024)
"""


def huge(path: Path) -> onnx.ModelProto:
    """Two layers whose weights are holes of a sparse file, embedded; gives the model without."""
    model = two_layers()
    for dim in (
        *model.graph.input[0].type.tensor_type.shape.dim[1:],
        *model.graph.output[0].type.tensor_type.shape.dim[1:],
    ):
        dim.dim_value = SIDE
    for weight in model.graph.initializer:
        weight.ClearField("raw_data")
        weight.dims[:] = [SIDE] * len(weight.dims)
        weight.external_data.add(key="location", value="a place")
        weight.data_location = TensorProto.EXTERNAL
    holes = path.with_name("holes")
    with holes.open("wb") as file:
        file.truncate(4 * SIDE * SIDE)

    def find_span(tensor: TensorProto) -> ByteSpan:
        return ByteSpan(0, 4 * SIDE ** len(tensor.dims))

    with holes.open("rb") as source, path.open("wb", buffering=0) as sink:
        segments = skeleton_segments(model.SerializeToString(), find_span)
        write_segments(source.fileno(), sink.fileno(), segments)
    holes.unlink()
    return model


def test_folding_beyond_two_gigabytes(tmp_path: Path) -> None:
    """A file that protobuf cannot parse is folded and unfolded, in little memory of its own."""
    source = tmp_path / "m.onnx"
    model = huge(source)
    assert source.stat().st_size > 2**31
    (tmp_path / "m.trace.json").write_bytes(encode_record(blocks_record(model)))
    done = subprocess.run(
        [sys.executable, "-c", FOLD, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 300
    with OnnxContainer.open(source) as before, OnnxContainer.open(tmp_path / "u.onnx") as after:
        weights = before.skeleton().graph.initializer
        assert weights
        for old, new in zip(weights, after.skeleton().graph.initializer, strict=True):
            assert (old.name, old.dims) == (new.name, new.dims)
            assert before.payload(old) == after.payload(new)
    (tmp_path / "u.onnx").unlink()
    source.unlink()
