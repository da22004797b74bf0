"""Export configurations: read from three formats, and wrong keys named."""

import json
from pathlib import Path

import pytest
import yaml

from modelexport.errors import SettingsError
from modelexport.hierarchy.export_config import InputSpec, parse_input, read_export_config
from tests.helpers.configured import CONFIG


def toml(config: dict[str, object], where: str = "") -> str:
    """A configuration as TOML: plain values first, then tables."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in config.items() if not isinstance(v, dict)]
    for key, value in config.items():
        if isinstance(value, dict):
            lines += [f"[{where}{key}]", toml(value, f"{where}{key}.")]
    return "\n".join(lines)


WRITERS = {".json": json.dumps, ".toml": toml, ".yaml": yaml.safe_dump, ".yml": yaml.safe_dump}


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_formats_say_the_same(tmp_path: Path, suffix: str) -> None:
    """JSON, TOML and YAML; axes are numbers, as text or not."""
    path = tmp_path / f"config{suffix}"
    path.write_text(WRITERS[suffix](CONFIG))
    actual = read_export_config(path)
    assert actual.dynamic_axes == {
        "x": {0: "batch", 1: "length"},
        "mask": {0: "batch", 1: "length"},
    }
    assert actual.inputs["mask"] == InputSpec((3, 4), "int64", (7, 9))
    assert (actual.exporter, actual.opset, actual.output_names) == (
        *("torchscript", 15),
        ("scaled", "mean"),
    )


WRONG = {
    '{"opset": "17"}': "$.opset",
    '{"opset": 3}': "$.opset",
    '{"opsett": 17}': "opsett",
    '{"exporter": "magic"}': "$.exporter",
    '{"inputs": {"good": {}, "x": {"shape": [1, "2"]}}}': "$.inputs.x.shape[1]",
    '{"inputs": {"good": {}, "x": {"shape": [1, 0]}}}': "$.inputs.x.shape[1]",
    '{"inputs": {"good": {}, "x.y": {"shape": 3}}}': '$.inputs["x.y"].shape',
    '{"inputs": {"good": {}, "x": {"dtype": "float"}}}': "$.inputs.x.dtype",
    '{"inputs": {"good": {}, "x": {"range": [2, 1]}}}': "$.inputs.x",
    '{"inputs": {"good": {}, "x": {"shpe": [2]}}}': "$.inputs.x",
    '{"inputs": 7}': "$.inputs",
    '{"dynamic_axes": {"x": {"0": "b"}, "y": {"first": "b"}}}': "$.dynamic_axes.y",
    '{"dynamic_axes": {"x": {"0": "b", "1": 7}}}': '$.dynamic_axes.x["1"]',
    '{"dynamic": true, "dynamic_axes": {"x": {"0": "b"}}}': "dynamic_axes",
    '{"output_names": ["a", "a"]}': "output_names",
    '{"output_names": [""]}': "$.output_names[0]",
    "[]": "keys and values",
    "{": "JSON",
}


@pytest.mark.parametrize(("text", "named"), WRONG.items())
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    """The message has the file and the key."""
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_export_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert named in str(caught.value)


def test_shapes_on_the_command_line() -> None:
    """A name, extents, and a dtype behind a colon."""
    assert parse_input("x=1x8") == ("x", InputSpec((1, 8)))
    assert parse_input("x=8:int64") == ("x", InputSpec((8,), "int64"))
