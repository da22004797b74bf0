"""The forms in which users name the source of a model; nothing is loaded here."""

from pathlib import Path

from modelexport.errors import SourceError

_SCRIPT_SUFFIXES = (".pt", ".pth", ".jit", ".ts", ".torchscript")

_PROGRAM_SUFFIX = ".pt2"

_PARTS_FILE = "modules.json"
"""The file in which sentence-transformers lists the parts of a model."""

ADAPTER_CONFIG = "adapter_config.json"
"""The file in which peft describes an adapter."""

_MAX_HUB_PARTS = 2
"""Number of parts of the longest Hugging Face hub id (`owner/name`)."""


def parse_factory(source: str) -> tuple[str, str] | None:
    """The module (or file) and the name of a factory; None for a Hugging Face folder or id.

    >>> parse_factory("net.py:build")
    ('net.py', 'build')
    """
    module, colon, name = source.rpartition(":")
    return (module, name) if colon and name.isidentifier() and not Path(source).exists() else None


def is_source(name: str) -> bool:
    """Whether a name is that of a model in torch, rather than of an ONNX file.

    >>> is_source("net.py:build"), is_source("net.onnx"), is_source("-")
    (True, False, False)
    """
    path = Path(name)
    if parse_factory(name) is not None or path.is_dir() or _has_suffix_of_torch(path):
        return True
    is_hub_id = not path.suffix and len(path.parts) == _MAX_HUB_PARTS and not path.parent.exists()
    return is_hub_id and not path.is_file()


def may_be_hub_id(name: str) -> bool:
    """Whether a name without an owner may be that of a model on the hub, as `gpt2` is.

    >>> may_be_hub_id("gpt2"), may_be_hub_id("gpt2.onnx"), may_be_hub_id("-")
    (True, False, False)
    """
    path = Path(name)
    return name != "-" and len(path.parts) == 1 and not path.suffix and not path.exists()


def is_model_in_torch(path: Path) -> bool:
    """Whether a path, in the place of an ONNX file, is the source of a model in torch.

    >>> is_model_in_torch(Path("net.py:build")), is_model_in_torch(Path("net.onnx"))
    (True, False)
    """
    folder = path.is_dir() and ((path / "config.json").is_file() or is_sentence_folder(str(path)))
    return folder or parse_factory(str(path)) is not None or _has_suffix_of_torch(path)


def _has_suffix_of_torch(path: Path) -> bool:
    """Whether a file has, or would have, the name of a script or an exported program."""
    return path.suffix.lower() in {*_SCRIPT_SUFFIXES, _PROGRAM_SUFFIX}


def is_script_file(source: str) -> bool:
    """Whether a source is a file of a kind that `torch.jit.save` writes."""
    path = Path(source)
    return path.suffix.lower() in _SCRIPT_SUFFIXES and path.is_file()


def is_program_file(source: str) -> bool:
    """Whether a source is a file of the kind that `torch.export.save` writes."""
    path = Path(source)
    return path.suffix.lower() == _PROGRAM_SUFFIX and path.is_file()


def is_sentence_folder(source: str) -> bool:
    """Whether a source is a folder that sentence-transformers wrote."""
    return (Path(source) / _PARTS_FILE).is_file()


def is_adapter_folder(source: str) -> bool:
    """Whether a source is a folder of an adapter that peft wrote, without a model of its own."""
    folder = Path(source)
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file()


def check_folder(source: str) -> None:
    """Refuse a source that is neither a Hugging Face folder nor a hub id.

    Raises:
        SourceError: The source is a folder without a configuration, a file, a device, or a path
            that does not exist.
    """
    path = Path(source)
    if is_sentence_folder(source) or is_adapter_folder(source):
        return
    if path.is_dir() and not (path / "config.json").is_file():
        raise SourceError(f"{source}: not a Hugging Face model folder (it has no config.json).")
    if path.is_file():
        raise SourceError(
            f"{source}: a file; give its folder, file.py:factory, a TorchScript file (.pt) or an "
            "exported program (.pt2)."
        )
    if path.exists() and not path.is_dir():
        raise SourceError(f"{source}: neither a folder nor a regular file.")
    if not path.exists() and _has_suffix_of_torch(path):
        raise SourceError(f"{source}: there is no such file.")
    if not path.exists() and (
        path.is_absolute() or source.startswith(".") or len(path.parts) > _MAX_HUB_PARTS
    ):
        raise SourceError(f"{source}: there is no such folder.")
    if not path.exists() and path.suffix.lower() in {*_SCRIPT_SUFFIXES, _PROGRAM_SUFFIX}:
        raise SourceError(f"{source}: there is no such file.")


def check_file(file: str) -> None:
    """Refuse a factory whose file does not exist.

    Raises:
        SourceError: The file does not exist.
    """
    if not Path(file).is_file():
        raise SourceError(f"{file}: there is no such file.")
