"""A sample of `make breadth` that covers the kinds of models: from a folder to judged tags."""

import pytest

from breadth.building import architectures, model_types
from breadth.roles import Role, role_of
from breadth.row import Row
from breadth.shrinking import DEGREES, shrink
from breadth.steps import Stage, run_type
from breadth.tables import cause, markdown

KINDS = {
    "text": "bert",
    "encoder and decoder": "t5",
    "text and image": "clip",
    "sound, with a decoder": "speech_to_text",
    "image, and text with placeholders": "llava",
    "time series": "patchtst",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", KINDS.values(), ids=KINDS.keys())
def test_a_folder_without_inputs_is_enough(model_type: str) -> None:
    """The inputs are generated, and no tag contradicts eager execution."""
    row = Row(model_type)
    run_type(row, lambda _: None, until=Stage.JUDGED, seconds=60)
    assert (row.status, row.reason) == ("judged", "")
    assert (row.wrong, row.faults) == ([], [])
    assert row.known > 0
    assert row.tagged == row.nodes


def test_every_type_has_an_architecture() -> None:
    """The table has all types for which transformers names a model."""
    assert len(model_types()) > 600
    assert all(architectures(name) for name in model_types())


def test_numbers_that_agree_still_do_after_shrinking() -> None:
    """A width stays heads times the width of a head; tokens stay in the vocabulary."""
    config = {
        "hidden_size": 768, "num_attention_heads": 12, "head_dim": 64, "num_hidden_layers": 12,
        "vocab_size": 30000, "eos_token_id": 29999, "layer_types": ["a"] * 11 + ["b"],
    }  # fmt: skip
    small = shrink(config, DEGREES[0])
    assert small["hidden_size"] == small["num_attention_heads"] * small["head_dim"] < 768
    assert small["eos_token_id"] < small["vocab_size"]
    assert len(small["layer_types"]) == small["num_hidden_layers"]
    assert set(small["layer_types"]) == {"a", "b"}
    assert role_of("num_key_value_heads") is Role.HEADS


def test_the_page_counts_rows_and_groups_causes() -> None:
    """Failures with the same cause are one line, whatever the numbers and classes in them."""
    reasons = ["NetModel: no inputs could be made that it runs on (ValueError: 3 is not 4)"]
    reasons.append(reasons[0].replace("3", "7").replace("Net", "Other"))
    rows = [Row(f"t{k}", "k", status="inputs", reason=reason) for k, reason in enumerate(reasons)]
    page = markdown(rows, 9, current="k")
    assert cause(reasons[0]) == cause(reasons[1])
    assert "2 types were measured" in page
    assert "| 2 | ValueError: N is not N | t0, t1 |" in page
