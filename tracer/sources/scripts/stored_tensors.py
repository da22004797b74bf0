"""The tensors of a TorchScript archive: whether each has all its bytes.

torch's reader believes the size that the archive states, and reads what lies after a shorter
entry in memory. So the pickles of an archive are looked through first. They are not run: all
classes and functions that they name become one that does nothing.
"""

import pickle
import warnings
import zipfile
from typing import Any

import torch

_PICKLES = {"data.pkl": "data/", "constants.pkl": "constants/"}
"""The pickles of an archive, and the folders of the tensors that they name."""


class _Nothing:
    """Stands for whatever a pickle names."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass


class _StorageReader(pickle.Unpickler):
    """Collects the storages that a pickle names: their keys, and their sizes in bytes."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, int] = {}

    def find_class(self, _: str, name: str) -> type[_Nothing]:
        """Nothing that a pickle names is loaded."""
        return type(name, (_Nothing,), {})

    def persistent_load(self, pid: Any) -> _Nothing:
        """Note a storage: `("storage", type, key, device, number of elements)`."""
        _, kind, key, _, count = pid
        size = count * getattr(torch, kind.__name__).dtype.itemsize
        self.storages[key] = max(size, self.storages.get(key, 0))
        return _Nothing()


def short_tensor(archive: zipfile.ZipFile) -> str | None:
    """The name of an entry that is shorter than the tensor in it; None when all are complete.

    Raises:
        Exception: A pickle is damaged.
    """
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    for name in sizes:
        folder, _, file = name.rpartition("/")
        if file not in _PICKLES or "/" in folder:
            continue
        with archive.open(name) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's names of storages are deprecated
            reader = _StorageReader(stream)
            reader.load()
        for key, size in reader.storages.items():
            entry = f"{folder}/{_PICKLES[file]}{key}"
            if sizes.get(entry, 0) < size:
                return entry
    return None
