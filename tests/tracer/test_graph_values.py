"""Running an exported graph for its values."""

import numpy as np
import onnx
from onnx import parser

from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.tracer.exporters.exported import IN_MEMORY, ExportedGraph
from modelexport.tracer.records.graph_values import compute_values

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2, 512] x) => (float[2, 512] y) { y = Add (x, used) }
"""


def test_weights_that_nobody_reads_are_no_hindrance() -> None:
    """Exporters leave some behind; the runtime drops them, and is not asked about them."""
    model = parser.parse_model(GRAPH)
    generator = np.random.default_rng(0)
    weights = {
        name: generator.standard_normal(512).astype(np.float32) for name in ("used", "forgotten")
    }
    for name, values in weights.items():
        assert values.nbytes >= MIN_WEIGHT_BYTES
        tensor = model.graph.initializer.add(name=name, data_type=onnx.TensorProto.FLOAT)
        tensor.dims[:] = values.shape
        tensor.raw_data = b""
        onnx.external_data_helper.set_external_data(tensor, IN_MEMORY, 0, values.nbytes)
    x = generator.standard_normal((2, 512)).astype(np.float32)
    computed = compute_values(ExportedGraph("by hand", model, weights, {}, {}, 17), {"x": x})
    assert computed.missing is None
    assert computed.first == {(MAIN, "y"): value_fingerprint(x + weights["used"])}
