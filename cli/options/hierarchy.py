"""How the hierarchy is written into a file."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import typer

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions, FoldRules
from modelexport.hierarchy.choices import Inject, TagStyle, TorchNN
from modelexport.hierarchy.tags import TagRules

_TOPIC = "Hierarchy"
_DEFAULTS = AnnotateOptions()

CleanOnnx = Annotated[
    bool,
    typer.Option(
        "--clean-onnx",
        "--no-hierarchy-attrs",
        help="Write the plain file, without the hierarchy; the record is beside it.",
        rich_help_panel=_TOPIC,
    ),
]
ReplaceKeys = Annotated[
    bool,
    typer.Option(
        "--replace-keys",
        help="Overwrite metadata keys that other tools wrote; strip cannot restore them.",
        rich_help_panel=_TOPIC,
    ),
]


@dataclass(frozen=True)
class HierarchyOptions:
    """The options of writing the hierarchy."""

    topic: ClassVar = _TOPIC

    inject: Annotated[
        list[Inject], typer.Option(help="Where the hierarchy is written; may be repeated.")
    ] = field(default_factory=lambda: list(_DEFAULTS.inject))
    functions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="repeated|nested|all|PATTERN",
            help="Which calls of modules --inject functions turns into functions: the outermost "
            "repeated calls (the default), these and the repeated calls inside them, all calls, "
            "or the calls of modules whose path ('*.layer.*') or class ('class:*Layer') matches "
            "a pattern; patterns may be repeated.",
        ),
    ] = None
    min_nodes: Annotated[
        int, typer.Option(min=1, help="Minimum number of nodes of a call that becomes a function.")
    ] = _DEFAULTS.fold_rules.min_nodes
    max_prototypes_per_class: Annotated[
        int | None,
        typer.Option(
            "--max-prototypes-per-class",
            min=1,
            help="Maximum number of functions for one class: those with the most calls.",
        ),
    ] = _DEFAULTS.fold_rules.max_prototypes
    tag_style: Annotated[
        TagStyle,
        typer.Option(
            "--tag-style", help="Whether the steps of a tag are module names or class names."
        ),
    ] = _DEFAULTS.rules.style
    torch_nn: Annotated[
        TorchNN,
        typer.Option(
            "--torch-nn",
            help="Whether nodes inside torch's own modules keep their tag, or get the tag of the "
            "nearest module above that is not torch's.",
        ),
    ] = _DEFAULTS.rules.torch_nn
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=0, help="Cut tags off this many steps below the root."),
    ] = _DEFAULTS.rules.depth
    torch_keys: Annotated[
        bool,
        typer.Option("--torch-keys", help="Also write the metadata keys of torch's own exporter."),
    ] = _DEFAULTS.torch_keys
    source_lines: Annotated[
        bool,
        typer.Option(
            "--source-lines",
            help="Also write the lines of Python behind each node, as `file:line`.",
        ),
    ] = _DEFAULTS.source_lines

    def annotate_options(self) -> AnnotateOptions:
        """The options as `annotate` takes them.

        Raises:
            UsageError: There are rules for functions, and functions are not injected.
        """
        if self.functions and Inject.FUNCTIONS not in self.inject:
            raise UsageError("--functions needs --inject functions.")
        return AnnotateOptions(
            inject=tuple(self.inject),
            rules=TagRules(self.tag_style, self.torch_nn, self.depth),
            fold_rules=FoldRules(
                tuple(self.functions or _DEFAULTS.fold_rules.functions),
                self.min_nodes,
                self.max_prototypes_per_class,
            ),
            torch_keys=self.torch_keys,
            source_lines=self.source_lines,
        )

    def plain_options(self) -> AnnotateOptions:
        """The options that write no hierarchy.

        Raises:
            UsageError: An option asks for the hierarchy.
        """
        options = self.annotate_options()
        if options.inject != _DEFAULTS.inject or options.torch_keys or options.source_lines:
            raise UsageError(
                "--clean-onnx writes no hierarchy: leave out --inject, --torch-keys and "
                "--source-lines."
            )
        return options.overridden(inject=())
