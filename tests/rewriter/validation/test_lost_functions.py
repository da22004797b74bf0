"""Folded files of which a tool has dropped the functions."""

from pathlib import Path

import onnx
from onnx import version_converter

from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import annotate, validate
from tests.helpers.handmade import two_layers_record


def folded(plain: Path, folder: Path) -> Path:
    path = folder / "folded.onnx"
    annotate(plain, two_layers_record(), path, inject=[Inject.FUNCTIONS])
    return path


def test_a_file_whose_functions_a_converter_dropped_is_told_so(plain: Path, tmp_path: Path) -> None:
    """The cause is named once, with the calls; what follows from it is left out."""
    path = folded(plain, tmp_path)
    whole = onnx.load(path)
    calls = [n for n in whole.graph.node if n.domain in {f.domain for f in whole.functions}]
    assert calls
    assert validate(path).good
    converted = version_converter.convert_version(whole, whole.opset_import[0].version + 1)
    assert not converted.functions
    onnx.save(converted, path)
    validation = validate(path)
    (fault,) = [fault for fault in validation.faults if fault.check == "functions"]
    for node in calls:
        count = sum(call.op_type == node.op_type for call in calls)
        assert f"{node.domain}::{node.op_type} ({count} x)" in fault.message
    assert "--record" in fault.advice
    assert "runs" not in validation.checks


def test_functions_that_are_there_are_no_fault(plain: Path, tmp_path: Path) -> None:
    """Nor are operators of domains that are no module's."""
    assert "functions" not in validate(folded(plain, tmp_path)).checks
    assert "functions" not in validate(plain).checks
