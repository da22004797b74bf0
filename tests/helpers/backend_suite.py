"""The models of onnx's own backend test suite."""

import warnings
from pathlib import Path

from filelock import FileLock
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


def whole_backend_suite(session_folder: Path) -> list[Path]:
    """The models on disk, and those that onnx generates: these are written once a session.

    Args:
        session_folder: A folder that all processes of the session share.
    """
    folder = session_folder / "backend-suite"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            for number, model in enumerate(_generated_models()):
                (unfinished / f"{number}.onnx").write_bytes(model)
            unfinished.rename(folder)
    generated = sorted(folder.iterdir())
    assert generated
    return [*backend_models(), *generated]


def _generated_models() -> list[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, of its own data
        from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415 - it warns

        cases = collect_testcases("")
    return [case.model.SerializeToString() for case in cases if case.model is not None]
