"""How a model source is written, told apart without loading it."""

from pathlib import Path

from modelexport.errors import SourceError


def factory_of(source: str) -> tuple[str, str] | None:
    """The module (or file) and the name of a factory; None for a Hugging Face folder or id.

    >>> factory_of("net.py:build")
    ('net.py', 'build')
    """
    module, colon, name = source.rpartition(":")
    return (module, name) if colon and name.isidentifier() and not Path(source).exists() else None


def check_folder(source: str) -> None:
    """Refuse what cannot be a Hugging Face folder or hub id.

    Raises:
        SourceError: A folder without a configuration, a file, or a path that leads nowhere.
    """
    path = Path(source)
    if path.is_dir() and not (path / "config.json").is_file():
        raise SourceError(f"{source}: no Hugging Face model folder (it has no config.json).")
    if path.is_file():
        raise SourceError(f"{source}: a file; give its folder, or file.py:factory.")
    if not path.exists() and (path.is_absolute() or source.startswith(".") or len(path.parts) > 2):
        raise SourceError(f"{source}: there is no such folder.")


def check_file(file: str) -> None:
    """Refuse a factory's file that is not there.

    Raises:
        SourceError: There is none.
    """
    if not Path(file).is_file():
        raise SourceError(f"{file}: there is no such file.")
