"""Which rows are inside which: by the module tree, whatever the tags look like.

A tag does not show where its module is: `/Net/extra.1` is inside `/Net/extra`, and by class
`/Net/Block.0` is inside `/Net/ModuleList`.
"""

from collections.abc import Callable, Iterator

from modelexport.hierarchy.module_tree import ROOT, Module, ModuleTree
from modelexport.support.prefixes import common_prefix


class ModuleNesting:
    """The labels of modules (tags, for example), and which label is inside which.

    Modules with the same label are one. Where these are inside modules of different labels, they
    are inside the nearest module around all of them.

    Args:
        tree: The modules.
        resolve: The path of the module that a path stands for: no alias, rolled up and cut.
        label: The label of a path; the same for a path and for what it stands for.

    Attributes:
        root: Label of the root.
        modules: The first module of each label, in the order of the tree.
        parents: The label around each label but the root's.
        joined: Labels of numbered modules whose name is one step with that of their parent.
    """

    def __init__(
        self, tree: ModuleTree, resolve: Callable[[str], str], label: Callable[[str], str]
    ) -> None:
        self.root = label(ROOT)
        self.modules: dict[str, Module] = {}
        paths: dict[str, str] = {}
        several: dict[str, dict[str, None]] = {}
        for module in tree:
            if module.alias_of is None:
                name, path = label(module.path), resolve(module.path)
                if name not in paths:
                    self.modules[name], paths[name] = module, path
                elif path != paths[name]:
                    several.setdefault(name, {paths[name]: None})[path] = None
        self.parents: dict[str, str] = {}
        self.joined: set[str] = set()
        for name, path in paths.items():
            if name != self.root:
                above, _, last_name = path.rpartition(".")
                self.parents[name] = (
                    _label_around([path.rpartition(".")[0] for path in several[name]], label)
                    if name in several
                    else label(above)
                )
                if last_name.isdigit() and resolve(above) == above != ROOT:
                    self.joined.add(name)

    def upwards(self, name: str) -> Iterator[str]:
        """A label and those around it, the root's last."""
        yield name
        while name != self.root:
            name = self.parents.get(name, self.root)
            yield name


def _label_around(paths: list[str], label: Callable[[str], str]) -> str:
    """The label of modules; if they have several, that of the nearest module around them."""
    labels = {label(path) for path in paths}
    if len(labels) == 1:
        return labels.pop()
    return label(".".join(common_prefix(tuple(path.split(".")) for path in paths)))
