"""What msgspec refuses is explained with the user's own keys."""

from typing import Annotated, Any

import msgspec
import pytest

from modelexport.support.decode_errors import explain_decode_error


class Input(msgspec.Struct, forbid_unknown_fields=True):
    shape: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()

    def __post_init__(self) -> None:
        if len(self.shape) > 2:
            raise ValueError("A shape has two extents")


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    inputs: dict[str, Input] = {}
    axes: dict[str, dict[int, str]] = {}
    models: list[Input] = []


def explain(data: object, *, with_data: bool = True) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(data, Settings, str_keys=True)
    if not with_data:
        return explain_decode_error(caught.value)
    return explain_decode_error(caught.value, type_=Settings, data=data)


CASES: dict[str, tuple[Any, str]] = {
    "an unknown key of the root": (
        {"other": 1},
        "$.other: unknown key (the keys are axes, inputs, models)",
    ),
    "a misspelt key": ({"input": {}}, "$.input: unknown key (did you mean inputs?)"),
    "a misspelt key in a list": (
        {"models": [{}, {"shap": []}]},
        "$.models[1].shap: unknown key (did you mean shape?)",
    ),
    "a misspelt key in a mapping": (
        {"inputs": {"good": {}, "x": {"shap": []}}},
        "$.inputs.x.shap: unknown key (did you mean shape?)",
    ),
    "a wrong value": (
        {"inputs": {"good": {}, "x": {"shape": [1, 0]}}},
        "$.inputs.x.shape[1]: expected `int` >= 1, not 0",
    ),
    "a key that is no identifier": (
        {"inputs": {"x.y": {"shape": 3}}},
        '$.inputs["x.y"].shape: expected `array`, got `int`, not 3',
    ),
    "a wrong key": (
        {"axes": {"x": {"0": "b"}, "y": {"first": "b"}}},
        "$.axes.y: expected `int`, got `str`",
    ),
    "two mappings deep": (
        {"axes": {"x": {"0": "b", "1": 7}}},
        '$.axes.x["1"]: expected `str`, got `int`, not 7',
    ),
    "an error of our own": (
        {"models": [{"shape": [1, 2, 3]}]},
        "$.models[0]: a shape has two extents",
    ),
    "a value too long to quote": ({"models": "x" * 60}, "$.models: expected `array`, got `str`"),
}


@pytest.mark.parametrize(("data", "explanation"), CASES.values(), ids=CASES.keys())
def test_the_path_and_what_is_wrong(data: object, explanation: str) -> None:
    """The path has the user's own keys, also where msgspec names none."""
    assert explain(data) == explanation


def test_without_the_data_unnamed_keys_stay_unnamed() -> None:
    """What msgspec says is all that is known."""
    data = {"inputs": {"x": {"shap": []}}}
    assert explain(data, with_data=False) == "$.inputs[...].shap: unknown key"


def test_text_that_is_no_json_has_no_path() -> None:
    """The reason alone, and abbreviations keep their capitals."""
    for text, explanation in ((b"{", "input data was truncated"), (b"?", "JSON is malformed: ")):
        with pytest.raises(msgspec.DecodeError) as caught:
            msgspec.json.decode(text, type=Settings)
        assert explain_decode_error(caught.value).startswith(explanation)
