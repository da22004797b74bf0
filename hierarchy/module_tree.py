"""The module tree of a PyTorch model, as records and annotated files hold it."""

from collections.abc import Iterable, Iterator

import msgspec

from modelexport.errors import FileProblem
from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error
from modelexport.support.prefixes import common_prefix

ROOT = ""
"""Path of the root module, as in `named_modules()`."""


MAX_MODULES = 250_000
"""Maximum number of modules of a file or record."""


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter or buffer of one module.

    Attributes:
        name: Its name in that module.
        shape: Its extents.
        dtype: Type of its elements, as torch names it.
        tied_to: Qualified name of the first parameter that is the same tensor; None when this
            parameter is the first (for example, a decoder that shares the embedding's weight).
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
        path: Dotted path; "" for the root.
        class_name: `type(module).__name__`.
        python_module: `type(module).__module__`, which shows whether the class is from torch.
        alias_of: The first path of the same module object; None when this path is the first.
        parameters: Its parameters, without those of its children.
        buffers: Its buffers, without those of its children.
        calls: Number of calls of its forward when the model was traced; None when unknown.
        order: Position of its first call among the first calls of all modules, from 0.
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
        """Whether torch defines this class."""
        return self.python_module == "torch" or self.python_module.startswith("torch.")


class EmbeddedTree(msgspec.Struct, frozen=True, omit_defaults=True):
    """The module tree in an annotated file (model metadata `hierarchy.modules`).

    Attributes:
        modules: Every module of the record, aliases included.
        tag_style: The `TagStyle` of the file's tags.
        torch_nn: The `TorchNN` rule of the file's tags.
        depth: Maximum number of steps of the file's tags below the root; None for no limit.
        version: Version of this format.
    """

    modules: tuple[Module, ...]
    tag_style: str = TagStyle.PATH.value  # not the member: that would be left out when written
    torch_nn: str = TorchNN.KEEP.value
    depth: int | None = None
    version: int = 1

    def to_json(self) -> str:
        """The text that is written to the file."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str, file: str) -> "EmbeddedTree":
        """Read the text of a file.

        Args:
            text: The text.
            file: Name of the file, for errors.

        Raises:
            FileProblem: The text is not a module tree, or has too many modules.
        """
        try:
            tree = msgspec.json.decode(text, type=cls)
        except DECODE_ERRORS as error:
            raise FileProblem(
                f"{file}: its module tree cannot be read ({explain_decode_error(error)})."
            ) from error
        if not any(module.path == ROOT for module in tree.modules):
            raise FileProblem(f"{file}: its module tree cannot be read (it has no root module).")
        if len(tree.modules) > MAX_MODULES:
            raise FileProblem(
                f"{file}: its module tree has {len(tree.modules):,} modules, more than "
                f"{MAX_MODULES:,}."
            )
        return tree


class ModuleTree:
    """The modules of one model by path: aliases, owners of parameters, common ancestors.

    Args:
        modules: Every module under every path.
    """

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
        """The root module."""
        return self._modules[ROOT]

    def has_same_modules(self, other: "ModuleTree") -> bool:
        """Whether another tree has equal modules, in the same order."""
        return list(self) == list(other)

    def canonical(self, path: str) -> str:
        """The path that tags use: of a module with several paths, the first."""
        module = self._modules.get(path)
        return path if module is None or module.alias_of is None else module.alias_of

    def owner(self, parameter: str) -> str | None:
        """Path of the module that owns a parameter; None when there is no such parameter.

        Args:
            parameter: Qualified name of a parameter or buffer, under any path of its module.
        """
        path, _, name = parameter.rpartition(".")
        module = self._modules.get(path)
        if module is None or all(p.name != name for p in (*module.parameters, *module.buffers)):
            return None
        return self.canonical(path)

    def common_ancestor(self, paths: Iterable[str]) -> str:
        """The deepest module that holds (or is) all given modules and can run operators itself.

        A container that is never called (a ModuleList, for example) runs no operators, so the
        search goes on above it. Where the number of calls is unknown, a module with numeric
        children counts as such a container.

        Args:
            paths: At least one module path.
        """
        split_paths = [tuple(path.split(".")) if path else () for path in paths]
        shared = common_prefix(split_paths)
        depths = {len(names) for names in split_paths}
        path, depth = ".".join(shared), len(shared)
        children = {names[depth] for names in split_paths if len(names) > depth}
        while depth and depth not in depths and not self._runs_ops(path, children):
            depth -= 1
            path, children = path[: -len(shared[depth]) - 1], {shared[depth]}
        return path

    def _runs_ops(self, path: str, children: Iterable[str]) -> bool:
        """Whether a module runs operators itself, as far as its calls or children show.

        Args:
            path: Path of the module.
            children: Names of some of its children.
        """
        module = self._modules.get(path)
        if module is not None and module.calls is not None:
            return module.calls > 0
        return not any(map(str.isdigit, children))


def ancestors(path: str) -> list[str]:
    """A path and those above it; the root comes last.

    >>> ancestors("layer.0")
    ['layer.0', 'layer', '']
    """
    paths = [path]
    while path:
        path = path.rpartition(".")[0]
        paths.append(path)
    return paths


def is_within(path: str, ancestor: str) -> bool:
    """Whether `path` is `ancestor` or lies below it."""
    return not ancestor or path == ancestor or path.startswith(ancestor + ".")
