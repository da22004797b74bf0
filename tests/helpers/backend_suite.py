"""The models of onnx's own backend test suite."""

from pathlib import Path

from onnx.backend.test.loader import load_model_tests


def backend_models() -> list[Path]:
    """Every model of onnx's own backend suite that is on disk."""
    folders = {
        Path(case.model_dir)
        for kind in ("simple", "pytorch-converted", "pytorch-operator")
        for case in load_model_tests(kind=kind)
        if case.model_dir is not None
    }
    return sorted(folder / "model.onnx" for folder in folders)
