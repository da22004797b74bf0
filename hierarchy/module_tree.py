"""The module tree of a PyTorch model, as the record and annotated files carry it."""

from collections.abc import Iterable, Iterator

import msgspec

from modelexport.errors import FileProblem
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.prefixes import common_start

ROOT = ""
"""Path of the root module, as `named_modules()` gives it."""


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter or buffer of one module.

    Attributes:
        name: Its own name there.
        shape: Its extents.
        dtype: torch's name of its type.
        tied_to: Qualified name of the first parameter that is the same object, when this is
            not it (a decoder that shares the embedding's weight, say).
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    tied_to: str | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count


class Module(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `named_modules(remove_duplicate=False)`.

    Attributes:
        path: Dotted path, "" for the root.
        class_name: `type(module).__name__`.
        python_module: `type(module).__module__`; tells torch's own modules from others.
        alias_of: The first path of the same module object, when this is not it.
        parameters: Its own parameters, not those of its children.
        buffers: Its own buffers.
        calls: How many times its forward ran in the probe run; None when nobody watched.
        order: Position of its first call among all first calls.
    """

    path: str
    class_name: str
    python_module: str = ""
    alias_of: str | None = None
    parameters: tuple[Parameter, ...] = ()
    buffers: tuple[Parameter, ...] = ()
    calls: int | None = None
    order: int | None = None

    @property
    def from_torch(self) -> bool:
        """Whether torch itself defines this class."""
        return self.python_module == "torch" or self.python_module.startswith("torch.")


class EmbeddedTree(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an annotated file carries about its modules (model metadata `hierarchy.modules`).

    Attributes:
        modules: Every module of the record, aliases included.
        tag_style: The style its tags are written in.
        torch_nn: What was done with nodes inside torch's own modules.
        depth: Where tags were cut, None for nowhere.
        version: Of this format.
    """

    modules: tuple[Module, ...]
    tag_style: str = "path"
    torch_nn: str = "keep"
    depth: int | None = None
    version: int = 1

    def to_json(self) -> str:
        """The text that goes into the file."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str, where: str) -> "EmbeddedTree":
        """Read the text back; `where` names the file in the error."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise FileProblem(
                f"{where}: its module tree cannot be read ({explain_decode_error(error)})."
            ) from error


class ModuleTree:
    """Lookups over the modules of one model: parents, aliases, common ancestors."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._modules = {module.path: module for module in modules}

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __contains__(self, path: object) -> bool:
        return path in self._modules

    def __getitem__(self, path: str) -> Module:
        return self._modules[path]

    @property
    def root(self) -> Module:
        """The model itself."""
        return self._modules[ROOT]

    def canonical(self, path: str) -> str:
        """The path that tags use: of a module with several, the first in `named_modules()`."""
        module = self._modules.get(path)
        return path if module is None or module.alias_of is None else module.alias_of

    def owner(self, parameter: str) -> str | None:
        """Path of the module that owns a parameter given by its qualified name.

        The first module in `named_modules()` that holds it, whatever path it is asked by.
        """
        path, _, name = parameter.rpartition(".")
        module = self._modules.get(path)
        if module is None or all(p.name != name for p in (*module.parameters, *module.buffers)):
            return None
        return self.canonical(path)

    def common_ancestor(self, paths: Iterable[str]) -> str:
        """The deepest module above (or equal to) all paths that can run ops itself.

        A container that is never called (a ModuleList, say) runs nothing, so the search
        goes on above it. Where nobody counted calls, a numeric step and its parent count
        as one step instead.

        Args:
            paths: At least one module path.
        """
        split = [tuple(path.split(".")) if path else () for path in paths]
        shared = common_start(split)
        if all(parts == shared for parts in split):
            return ".".join(shared)
        while shared and shared not in split and not self._runs_ops(".".join(shared), split):
            shared = shared[:-1]
        return ".".join(shared)

    def _runs_ops(self, path: str, below: list[tuple[str, ...]]) -> bool:
        module = self._modules.get(path)
        if module is not None and module.calls is not None:
            return module.calls > 0
        depth = path.count(".") + 1
        return not any(len(parts) > depth and parts[depth].isdigit() for parts in below)


def is_within(path: str, ancestor: str) -> bool:
    """Whether `path` is `ancestor` or lies below it."""
    return not ancestor or path == ancestor or path.startswith(ancestor + ".")
