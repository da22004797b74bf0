"""A changed skeleton is written with the weights of its file, also beyond what protobuf holds."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from modelexport.hierarchy.record import encode_record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.container.skeleton_writing import skeleton_segments
from modelexport.rewriter.container.splicing import ByteSpan
from tests.helpers.folds import blocks_record
from tests.helpers.handmade import two_layers

SIDE = 16_400  # two square float weights of this side are more than 2 GiB

MARK = b"mark"
"""What stands at the start of each weight, and backwards at its end."""

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
    """Two layers whose weights are embedded holes, between marks; gives the model without."""
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

    def find_span(tensor: TensorProto) -> ByteSpan:
        return ByteSpan(0, 4 * SIDE ** len(tensor.dims))

    with path.open("wb") as file:
        for segment in skeleton_segments(model.SerializeToString(), find_span):
            if isinstance(segment, ByteSpan):
                file.write(MARK)
                file.seek(segment.length - 2 * len(MARK), os.SEEK_CUR)
                file.write(MARK[::-1])
            else:
                file.write(segment)
    return model


def weight_blocks(path: Path, tensor: TensorProto) -> Iterator[bytes]:
    """The bytes of a weight to which a skeleton refers, a block at a time."""
    reference = {entry.key: entry.value for entry in tensor.external_data}
    assert reference["location"] == path.name
    left = int(reference["length"])
    assert left == 4 * math.prod(tensor.dims)
    with path.open("rb", buffering=0) as file:
        file.seek(int(reference["offset"]))
        while left:
            block = file.read(min(left, 1 << 20))
            assert block
            left -= len(block)
            yield block


def test_folding_beyond_two_gigabytes(tmp_path: Path) -> None:
    """A file that protobuf cannot parse is folded and unfolded, in little memory of its own."""
    source, unfolded = tmp_path / "m.onnx", tmp_path / "u.onnx"
    model = huge(source)
    assert source.stat().st_size > 2**31
    (tmp_path / "m.trace.json").write_bytes(encode_record(blocks_record(model)))
    done = subprocess.run(
        [sys.executable, "-c", FOLD, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 300
    with OnnxContainer.open(source) as before, OnnxContainer.open(unfolded) as after:
        weights = before.skeleton().graph.initializer
        assert weights
        for old, new in zip(weights, after.skeleton().graph.initializer, strict=True):
            assert (old.name, old.dims) == (new.name, new.dims)
            blocks = zip(weight_blocks(source, old), weight_blocks(unfolded, new), strict=True)
            equal = [a == b for a, b in blocks]
            assert equal
            assert all(equal)
    unfolded.unlink()
    source.unlink()
