"""Tasks: the names that users know choose the class of transformers."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModel
from transformers.models.auto import modeling_auto
from transformers.pipelines import PIPELINE_REGISTRY

from modelexport.errors import SourceError
from modelexport.tracer import load
from modelexport.tracer.sources.tasks import architectures_for_task, known_tasks

PIPELINES = PIPELINE_REGISTRY.get_supported_tasks()
HEADS = [name for name in vars(modeling_auto) if name.startswith("AutoModelFor")]
EARLIER = ["text2text-generation", "summarization", "translation", "translation_en_to_fr"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model("bert", **sizes, vocab_size=20, intermediate_size=8)
    AutoModel.from_config(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("task", PIPELINES)
def test_tasks_of_pipelines_have_their_classes(task: str) -> None:
    """In the order in which transformers tries them."""
    _, settings, _ = PIPELINE_REGISTRY.check_task(task)
    assert architectures_for_task(task, "model") == list(settings["pt"])


def test_every_head_has_a_task() -> None:
    """No automatic class of transformers is out of reach."""
    reached = {cls.__name__ for classes in known_tasks().values() for cls in classes}
    mapped = {n for n in HEADS if hasattr(getattr(modeling_auto, n), "_model_mapping")}
    assert mapped
    assert mapped <= reached


@pytest.mark.parametrize("task", EARLIER)
def test_names_of_earlier_pipelines(task: str) -> None:
    """They are those of models that make a text of a text."""
    (cls,) = architectures_for_task(task, "model")
    assert cls is modeling_auto.AutoModelForSeq2SeqLM


def test_a_head_by_its_task(folder: Path) -> None:
    """The class is that of the automatic class for the configuration."""
    config = AutoConfig.from_pretrained(folder)
    for task in ("question-answering", "fill-mask", "token-classification"):
        (cls, *_) = architectures_for_task(task, "model")
        assert type(load(str(folder), task=task).model) is cls._model_mapping[type(config)]


def test_unknown_tasks_list_the_choices(folder: Path) -> None:
    """All tasks; and for a task without a class, those that the configuration has."""
    with pytest.raises(SourceError, match="unknown task juggling") as unknown:
        load(str(folder), task="juggling")
    names = [*PIPELINES, *EARLIER[:-1]]
    assert [name for name in names if f" {name}" not in str(unknown.value)] == []
    with pytest.raises(SourceError, match=r"no architecture for depth-estimation.*fill-mask"):
        load(str(folder), task="depth-estimation")
