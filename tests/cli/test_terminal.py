"""Terminal: what files say is shown by no command as characters that a terminal obeys or hides."""

import ast
import io
import json
import re
from html import unescape
from pathlib import Path

import onnx
import pytest
from markdown_it import MarkdownIt

from modelexport.cli.visible_output import VisibleStream
from modelexport.hierarchy.choices import AnalysisFormat, ComparisonFormat
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import Tagger
from modelexport.support.visible_text import visible_json, visible_line
from tests.helpers.commands import ROOT, CommandResult, Run, modelexport
from tests.helpers.hostile import (
    CONTROLS,
    FORGED,
    HOSTILE,
    MARKUP,
    NAME,
    OBEYED,
    READABLE,
    hostile_model,
    hostile_tree,
    texts_in,
    with_tree,
)

VISIBLE = visible_line(CONTROLS.partition("\0")[0])
HARMLESS = f"{MARKUP}{READABLE}"
PLAIN_TAGS = {"table", "thead", "tbody", "tr", "th", "td", "h1", "p", "strong", "ul", "li"}
"""What markdown of ours consists of: no link, image, emphasis or code."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

ANALYSES = [("analyze", "tagged.onnx", "--output-format", kind) for kind in AnalysisFormat]
COMPARISONS = [
    ("compare", "tagged.onnx", "other.onnx", "--all", "--no-run", "--output-format", kind)
    for kind in (ComparisonFormat.TEXT, ComparisonFormat.JSON, ComparisonFormat.MARKDOWN)
]
SHOWING = [
    *ANALYSES,
    *COMPARISONS,
    ("analyze", "tagged.onnx", "--all"),
    ("analyze", "lost.onnx", "--unresolved"),
    ("analyze", "lost.onnx", "--unresolved", "--output-format", "json"),
    ("analyze", "lost.onnx", "--unresolved", "--output-format", "markdown"),
    ("analyze", "tagged.onnx", NAME, "--output-format", "table"),
    ("analyze", "tagged.onnx", NAME, "--output-format", "markdown"),
    ("compare", "tagged.onnx", NAME, "--no-run"),
    ("strip", "tagged.onnx", "-o", f"new{NAME}"),
    ("analyze", "bare.onnx"),
    ("validate", "lost.onnx", "--check-consistency"),
    ("validate", "lost.onnx", "--output-format", "json"),
    ("annotate", "tagged.onnx", "--explain", "#0"),
    ("annotate", "tagged.onnx", "--explain", "#0", "--output-format", "json"),
    ("annotate", "tagged.onnx", "-o", "new.onnx", "--report", "-"),
    ("annotate", "tagged.onnx", "-o", "new.onnx", "--output-format", "json"),
]
"""Commands whose output has texts of a file."""

REFUSING = [
    ("analyze", f"missing{NAME}"),
    ("analyze", "tagged.onnx", "--module", HOSTILE),
    ("analyze", "broken_tree.onnx"),
    ("compare", "bare.onnx", "bare.onnx"),
    ("compare", "tagged.onnx", "other.onnx", "--numeric"),
    ("annotate", "tagged.onnx", "-o", "new.onnx", "--record", "record.json"),
    ("annotate", "tagged.onnx", "-o", "new.onnx", "--record", "foreign.json"),
    ("annotate", "tagged.onnx", "--explain", HOSTILE),
    ("strip", "external.onnx", "-o", "new.onnx"),
    ("trace", "net.py:build", "new.onnx", "--config", "config.json"),
    ("batch", "plan.toml"),
    (HOSTILE,),
]
"""Commands that end in an error about a text of a file, or about an argument."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in which every text is hostile."""
    place = tmp_path_factory.mktemp("hostile")
    modules = hostile_tree()
    tagger = Tagger(ModuleTree(modules))
    tags = [tagger.tag(modules[number].path) for number in (1, 1, 2, 2)]
    raw = [f"/Net{HOSTILE}"] * 4
    files = {
        "tagged": with_tree(hostile_model(tags, operators=True), modules),
        "other": with_tree(hostile_model(tags, operators=False), modules),
        "lost": with_tree(hostile_model(raw, operators=True), modules),
        "bare": hostile_model(raw, operators=True),
        "broken_tree": with_tree(hostile_model(tags, operators=False), modules),
        "external": with_tree(hostile_model(tags, operators=False), modules),
    }
    files["broken_tree"].metadata_props[1].value = f'{{"modules": "{HOSTILE}"}}'
    del files["bare"].graph.node[0].metadata_props[:]
    for node in files["bare"].graph.node:
        del node.metadata_props[:]
    weight = files["external"].graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = weight.EXTERNAL
    weight.external_data.add(key="location", value=f"../{HOSTILE}")
    for name, model in files.items():
        (place / f"{name}.onnx").write_bytes(model.SerializeToString())
    (place / NAME).write_bytes((place / "other.onnx").read_bytes())
    quoted = json.dumps(HOSTILE)
    (place / "record.json").write_text(f"{{{quoted}: {quoted}}}")
    (place / "foreign.json").write_text(json.dumps({"version": HOSTILE, "modules": HOSTILE}))
    (place / "config.json").write_text(f"{{{quoted}: {quoted}}}")
    (place / "plan.toml").write_text(f"{quoted} = {quoted}\n".replace("\\ud83d\\ude42", "🙂"))
    return place


def check(result: CommandResult) -> None:
    """Nothing that a terminal obeys is in the output, and no line of it is forged."""
    for text in (result.out, result.err):
        assert OBEYED.findall(text) == []
        assert FORGED not in text.splitlines()


@pytest.mark.parametrize("command", SHOWING, ids=" ".join)
def test_texts_of_files_are_visible_in_every_format(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Each command shows escapes; JSON has the very texts of the file."""
    monkeypatch.chdir(folder)
    result = run(*command, *(["--force"] if "-o" in command else []))
    assert result.code in {0, 1}, result.err
    check(result)
    assert READABLE in result.out or command[0] == "strip"
    if "json" in command or "--report" in command:
        assert any(HOSTILE in text for text in texts_in(json.loads(result.out)))
    elif "markdown" in command:
        page = MarkdownIt("commonmark").enable("table").render(result.out)
        assert set(re.findall(r"<([a-z]\w*)", page)) <= PLAIN_TAGS
        assert VISIBLE in unescape(page)
        assert HARMLESS in unescape(page)
    else:
        assert VISIBLE in result.out


@pytest.mark.parametrize("command", REFUSING, ids=lambda c: " ".join(map(visible_line, c)))
@pytest.mark.parametrize("more", [(), ("--verbose",)], ids=["", "verbose"])
def test_errors_are_visible(
    folder: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    more: tuple[str, ...],
) -> None:
    """An error is one line with escapes; a traceback has escapes, too."""
    monkeypatch.chdir(folder)
    result = run(*more, *command)
    assert result.code
    assert OBEYED.findall(result.out + result.err) == []
    if not more:
        check(result)


def test_in_a_process_of_its_own(folder: Path) -> None:
    """The door is there however the program is started."""
    for command in (SHOWING[0], REFUSING[0]):
        result = modelexport(*command, cwd=folder)
        check(result)
        assert VISIBLE in result.out + result.err


def test_colours_are_ours_alone(folder: Path) -> None:
    """Where colours are asked for, the only escape sequences are those of our own colours."""
    result = modelexport("analyze", "tagged.onnx", "--all", cwd=folder, FORCE_COLOR="1")
    assert COLOUR.findall(result.out)
    check(result._replace(out=COLOUR.sub("", result.out)))
    assert VISIBLE in COLOUR.sub("", result.out)
    assert set(COLOUR.findall(result.out)).isdisjoint(COLOUR.findall(HOSTILE))


def test_nothing_passes_the_door_by() -> None:
    """Nobody makes a console of rich's own class, and only models go out as bytes."""
    makers, writers = set(), set()
    for room in ("cli", "pipeline", "rewriter", "tracer", "support", "hierarchy"):
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                name = file.relative_to(ROOT).as_posix()
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Console"):
                    makers.add((name, ast.unparse(node.func)))
                if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout.buffer":
                    writers.add(name)
    assert {maker for _, maker in makers} == {"PipeConsole"}
    assert writers == {"cli/stdio_files.py"}


def test_the_stream_lets_nothing_pass() -> None:
    """Of all characters none passes that a terminal obeys or hides."""
    raw = io.StringIO()
    stream = VisibleStream(raw)
    every = "".join(map(chr, range(0x3000)))
    assert stream.write(every) == len(every)
    stream.writelines([every])
    written = raw.getvalue()
    assert OBEYED.findall(written) == []
    assert {*every} - {*written} >= {*OBEYED.findall(every)}
    assert visible_line(READABLE) == READABLE


def test_json_keeps_its_value() -> None:
    """JSON is escaped in JSON's own way, beyond the basic plane too."""
    value = [HOSTILE, "\U000e0041", "\u2029"]
    text = visible_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert OBEYED.findall(text) == []
    assert "\U000e0041" not in text
    assert json.loads(text) == value
    assert re.search(r"\\udb40\\udc41", text)


def test_every_field_was_made_hostile(folder: Path) -> None:
    """The file that the commands read has the hostile text in each of its names."""
    model = onnx.load(folder / "tagged.onnx")
    node = model.graph.node[0]
    for text in (node.name, node.op_type, node.input[0], model.producer_name, model.graph.name):
        assert text.endswith(HOSTILE)
