"""Finding a module of a file by what a user calls it: its path or its tag."""

from collections.abc import Iterable
from difflib import get_close_matches

from modelexport.errors import NoSuchModuleError
from modelexport.hierarchy.tags import Tagger

_SIMILAR = 3
"""Maximum number of similar names that an error suggests."""


def find_module(name: str, tagger: Tagger, file: str) -> str:
    """The path of the module that a user names; of a module with several paths, the first.

    Args:
        name: Its path or its tag.
        tagger: Writes the tags of the file's modules.
        file: The file as the error names it.

    Raises:
        NoSuchModuleError: There is no such module.
    """
    if name in tagger.tree:
        return tagger.tree.canonical(name)
    names: list[str] = []
    for module in tagger.tree:
        if tagger.tag(module.path) == name:
            return tagger.resolve(module.path)
        names += filter(None, [module.path, tagger.tag(module.path)])
    raise no_such_module(name, names, file)


def no_such_module(module: str, names: Iterable[str], file: str) -> NoSuchModuleError:
    """The error for a module that is not in a file; it suggests similar names.

    Args:
        module: What was asked for.
        names: The paths and tags that the file has.
        file: The file as the error names it.
    """
    names = list(dict.fromkeys(names))
    ends = [name for name in names if name.endswith(f".{module}")]
    ends = ends or [name for name in names if name.endswith(f"/{module}")]
    similar = list(dict.fromkeys([*ends, *get_close_matches(module, names, _SIMILAR)]))
    hint = "`analyze` shows its modules."
    if similar:
        hint = f"Similar names: {', '.join(similar[:_SIMILAR])}."
    return NoSuchModuleError(
        f"{file}: no module with nodes or weights is called {module!r}. {hint}"
    )
