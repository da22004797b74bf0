"""A sample of `make breadth` that covers the kinds of models: from a folder to judged tags."""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from breadth.building import architectures, model_types, models, save
from breadth.constraints import satisfying
from breadth.roles import WORDS, Role, role_of
from breadth.row import Row
from breadth.shrinking import DEGREES, shrink
from breadth.steps import Stage, run_type
from breadth.tables import cause, markdown
from modelexport.tracer import load
from modelexport.tracer.sources.generated.conventions import common_documentation
from modelexport.tracer.sources.signature import bind_inputs

KINDS = {
    "text": "bert",
    "encoder and decoder": "t5",
    "text and image": "clip",
    "sound, with a decoder": "speech_to_text",
    "image, and text with placeholders": "llava",
    "image": "beit",
    "video": "videomae",
    "time series": "time_series_transformer",
}
"""For each kind of models, a type of it that takes little time."""

WAVEFORM, DECODER = "wav2vec2", "gpt2"


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


def _folder(model_type: str, folder: Path) -> str:
    """The smallest model of a type, as a folder."""
    model, _ = next(models(model_type))
    save(model, folder / "model")
    return str(folder / "model")


def test_a_waveform_is_made_from_the_documentation(tmp_path: Path) -> None:
    """Rows of numbers, as many as the model's convolutions need."""
    loaded = load(_folder(WAVEFORM, tmp_path))
    (waveform,) = dict(loaded.inputs).values()
    assert waveform.dim() == 2
    assert waveform.is_floating_point()


def test_a_cache_is_made_for_a_task_with_past(tmp_path: Path) -> None:
    """The decoder of a folder gets a cache with keys and values of each of its layers."""
    loaded = load(_folder(DECODER, tmp_path), task="text-generation", with_past=True)
    tensors = bind_inputs(loaded.model, loaded.inputs).tensors
    layers = loaded.model.config.num_hidden_layers
    assert len([name for name in tensors if name.startswith("past_key_values")]) == 2 * layers


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


def test_no_word_about_settings_is_that_of_one_family() -> None:
    """Each decides about a setting that the library documents for all, or that families share."""
    families = defaultdict(set)
    for file in Path(transformers.__file__).parent.glob("models/*/configuration_*.py"):
        for name in re.findall(r"^    (\w+): ", file.read_text(), re.MULTILINE):
            families[name].add(file.parent.name)
    documented = set(common_documentation("ConfigArgs"))
    assert documented

    def is_shared(role: Role, word: str) -> bool:
        names = {n for n in documented | families.keys() if re.search(word, n)}
        decided = {name for name in names if role_of(name) is role}
        sharing = {family for name in decided for family in families[name]}
        return bool(decided & documented) or len(sharing) > 1

    assert [word for role, words in WORDS for word in words if not is_shared(role, word)] == []


@pytest.mark.parametrize(
    ("check", "valid"),
    [
        ("`chunk` must be a multiple of hop length (32), got 70.", lambda s: s["chunk"] == 96),
        ("chunk (70) must be divisible by pool (16).", lambda s: s["chunk"] == 80),
        ("width must be 0, got 8", lambda s: s["part"]["width"] == 0),
    ],
)
def test_settings_follow_the_checks_of_a_configuration(
    check: str, valid: Callable[[dict[str, Any]], bool]
) -> None:
    """Also in its parts; a message about no setting changes nothing."""
    settings = {"chunk": 70, "part": {"width": 8}}
    changed = satisfying(settings, ValueError(check))
    assert changed is not None
    assert valid(changed)
    assert satisfying({"other": 1}, ValueError(check)) is None


def test_feature_maps_and_stages_follow_the_smaller_image() -> None:
    """A map keeps its share of the image, and a part as many layers as it returns."""
    stages = ["stem", *(f"stage{k}" for k in range(1, 13))]
    config = {
        "image_size": 1024, "patch_size": 16, "image_embedding_size": 64, "maps": [[256, 256]],
        "num_hidden_layers": 12, "stage_names": stages, "out_indices": [3, 6, 9, 12],
    }  # fmt: skip
    small = shrink(config, DEGREES[0])
    assert small["image_embedding_size"] == small["image_size"] // small["patch_size"]
    assert small["maps"][0][0] * config["image_size"] == 256 * small["image_size"]
    assert small["num_hidden_layers"] == len(small["out_indices"])


def test_the_page_counts_rows_and_groups_causes() -> None:
    """Failures with the same cause are one line, whatever the numbers and classes in them."""
    reasons = ["NetModel: no inputs could be made that it runs on (ValueError: 3 is not 4)"]
    reasons.append(reasons[0].replace("3", "7").replace("Net", "Other"))
    rows = [Row(f"t{k}", "k", status="inputs", reason=reason) for k, reason in enumerate(reasons)]
    page = markdown(rows, 9, current="k")
    assert cause(reasons[0]) == cause(reasons[1])
    assert "2 types were measured" in page
    assert "| 2 | ValueError: N is not N | t0, t1 |" in page
    assert "| 2 | ValueError: 3 is not 4 | t0, t2 |" in markdown(
        [rows[0], Row("t2", "k", status="inputs", reason=reasons[0])], 9, current="k"
    )


def test_no_cause_is_empty() -> None:
    """Where no run failed before, the cause names the input that nothing can make."""
    reason = (
        "NetModel: no inputs could be made that it runs on. Give session with "
        "--input-shape session=1x8, or let a factory return the module and its inputs."
    )
    assert cause(reason) == "no value can be made of session"
