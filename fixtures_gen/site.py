"""The generated pages of the documentation: a hook of mkdocs, named in `mkdocs.yml`.

There is a page for each command, made from the objects of the command itself; a page for each
package, whose docstrings mkdocstrings renders; and a page of the published schemas.
"""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fixtures_gen.schema import SCHEMAS
from modelexport.cli.examples import EXAMPLES
from modelexport.cli.main import COMMANDS, NAME, app

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "modelexport",
    "modelexport.hierarchy",
    "modelexport.tracer",
    "modelexport.rewriter",
    "modelexport.pipeline",
    "modelexport.pipeline.batch",
)
_LEVELS = {"--verbose", "--quiet", "--help"}
"""Options of every command. Only the overview of the commands has them."""


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Fill the entry `Reference` of the navigation."""
    assert config.nav is not None
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] = [{title: path} for title, path in _contents()]
    return config


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the generated pages."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - only mkdocs runs this

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page by its path below docs."""
    by_path = {"reference/commands.md": _overview(), "reference/schemas.md": _schemas()}
    group = typer.main.get_command(app)
    for command in _names():
        by_path[f"reference/commands/{command}.md"] = _command(group, command)
    for package in PACKAGES:
        by_path[f"reference/python/{package}.md"] = _package(package)
    return by_path


def _contents() -> list[tuple[str, Any]]:
    commands = [{name: f"reference/commands/{name}.md"} for name in _names()]
    packages = [{name: f"reference/python/{name}.md"} for name in PACKAGES]
    return [
        ("Commands", [{"Overview": "reference/commands.md"}, *commands]),
        ("Python", packages),
        ("JSON schemas", "reference/schemas.md"),
    ]


def _names() -> list[str]:
    return [command.__name__ for command in COMMANDS]


def _overview() -> str:
    """All commands with the first line of their help, and the options that all of them have."""
    group: Any = typer.main.get_command(app)  # typer's own type has no `commands`
    rows = [f"| [{n}](commands/{n}.md) | {_first_help_line(group.commands[n])} |" for n in _names()]
    first = group.commands[_names()[0]]
    common = [p for p in first.params if set(p.opts) & _LEVELS]
    codes = "0 done; 1 the answer is no; 2 wrong use or bad input, in one sentence; 130 stopped."
    return "\n".join(
        [
            "# Commands\n",
            "| command | |\n|---|---|",
            *rows,
            "\nEvery command has these:\n",
            *_table(common, _context(first)),
            f"\nExit codes: {codes}\n",
        ]
    )


def _command(group: Any, name: str) -> str:
    """The page of one command."""
    command = group.commands[name]
    context = _context(command)
    usage = " ".join(command.collect_usage_pieces(context))
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p not in arguments and not set(p.opts) & _LEVELS]
    return "\n".join(
        [
            f"# {NAME} {name}\n",
            f"```text\n{NAME} {name} {usage}\n```\n",
            (command.help or "").replace("\b", ""),
            "\n## Arguments\n\n" if arguments else "",
            *_table(arguments, context),
            "\n## Options\n\n" if options else "",
            *_table(options, context),
            f"\n## Examples\n\n```text\n{EXAMPLES[name].strip()}\n```\n",
        ]
    )


def _context(command: Any) -> Any:
    return command.make_context(command.name, [], resilient_parsing=True)


def _table(parameters: list[Any], context: Any) -> list[str]:
    """A table of parameters with their help texts."""
    records = filter(None, (parameter.get_help_record(context) for parameter in parameters))
    rows = [f"| `{_cell(names)}` | {_cell(help_)} |" for names, help_ in records]
    return ["| | |\n|---|---|", *rows] if rows else []


def _package(package: str) -> str:
    """The page of one package: the names in its `__all__`, rendered from their docstrings."""
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    names = next(
        ast.literal_eval(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    )
    description = ast.get_docstring(tree) or ""
    return f"# {package}\n\n{description}\n\n" + "\n".join(
        f"::: {package}.{name}\n" for name in names
    )


def _schemas() -> str:
    rows = [f"| {published.title} | [{name}](../{name}) |" for name, published in SCHEMAS.items()]
    return "\n".join(
        [
            "# JSON schemas\n",
            "What is written or read as JSON, TOML or YAML; generated from the code.\n",
            "| of | schema |\n|---|---|",
            *rows,
        ]
    )


def _first_help_line(command: Any) -> str:
    return _cell((command.help or "").strip().splitlines()[0])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
