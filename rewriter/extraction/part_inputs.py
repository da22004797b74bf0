"""Saving the inputs of a part, for runs without the whole file."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.support.files import atomic_replacement


def save_arrays(target: Path, arrays: Mapping[str, Array], *, force: bool = False) -> None:
    """Write arrays as .npz; unlike `numpy.savez` it takes any name.

    Args:
        target: The file to write.
        arrays: The arrays by name.
        force: Whether an existing file may be overwritten.

    Raises:
        FileProblem: The file exists or cannot be written.
    """
    with atomic_replacement(target, force=force) as part, zipfile.ZipFile(part, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))
