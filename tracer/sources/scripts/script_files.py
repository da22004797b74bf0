"""Files that `torch.jit.save` wrote."""

import warnings
import zipfile

import torch
from torch import nn

from modelexport.errors import SourceError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.scripts.stored_tensors import short_tensor

_CODE = "/code/"
"""Folder of an archive that only scripts have."""


def load_script(source: str) -> nn.Module:
    """Load a script. It brings no Python code along, and no pickled objects.

    Raises:
        SourceError: The file is no script, or torch cannot read it.
    """
    try:
        _require_script(source)
        _check_tensors(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated
            return torch.jit.load(source, map_location="cpu")  # type: ignore[no-any-return, no-untyped-call]
    except SourceError:
        raise
    except Exception as error:
        reason = first_line(error, with_type=True)
        raise SourceError(f"{source}: torch cannot load it ({reason}).") from error


def _check_tensors(source: str) -> None:
    """Refuse an archive with a tensor that is cut off.

    Raises:
        SourceError: It has one.
    """
    with zipfile.ZipFile(source) as archive:
        short = short_tensor(archive)
    if short is not None:
        raise SourceError(f"{source}: {short} is shorter than the tensor that it should hold.")


def _require_script(source: str) -> None:
    """Refuse what is no script.

    Raises:
        SourceError: It is none.
    """
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            if any(_CODE in name for name in archive.namelist()):
                return
    raise SourceError(
        f"{source}: not a TorchScript file (torch.jit.save). Weights alone, or a pickled module, "
        "hold no code: write a factory that builds the model and loads them, FILE.py:FUNCTION."
    )
