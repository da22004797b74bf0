"""The classes of transformers for the tasks that users know by name.

The names are those of transformers' pipelines; those that its classes for a task have
(`AutoModelForQuestionAnswering` is `question-answering`); and those of earlier pipelines.
"""

import re
from typing import Any

from modelexport.errors import SourceError
from modelexport.hierarchy.export_config import WITH_PAST

_PREFIX = "AutoModelFor"

_EARLIER = {
    "text2text-generation": "seq2seq-lm",
    "summarization": "seq2seq-lm",
    "translation": "seq2seq-lm",
    "conversational": "causal-lm",
    "image-to-text": "image-text-to-text",
    "masked-im": "masked-image-modeling",
    "pretraining": "pre-training",
    "default": "feature-extraction",
}
"""Names of tasks that are not those of a class, and the name that stands for them."""

_PAIR_OF_LANGUAGES = re.compile(r"translation_\w+_to_\w+")


def architectures_for_task(task: str, source: str) -> list[Any]:
    """The automatic classes of transformers for a task, the most likely first.

    Args:
        task: The task.
        source: The source of the model, for errors.

    Raises:
        SourceError: There is no such task. The message lists them.
    """
    classes = known_tasks()
    name = "translation" if _PAIR_OF_LANGUAGES.fullmatch(task) else task
    name = _EARLIER.get(name, name) if name not in classes else name
    if name not in classes:
        names = ", ".join(sorted({*classes, *_EARLIER}))
        raise SourceError(
            f"{source}: unknown task {task}; choose from {names}. {WITH_PAST} after one that "
            "generates text asks for the cache, too."
        )
    return classes[name]


def known_tasks() -> dict[str, list[Any]]:
    """The automatic classes by task: those of pipelines, and those that are named for a task."""
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 - heavy
    from transformers.pipelines import PIPELINE_REGISTRY  # noqa: PLC0415 - see above

    tasks = {
        _task_of(name): [cls]
        for name, cls in vars(modeling_auto).items()
        if name.startswith(_PREFIX) and hasattr(cls, "_model_mapping")
    }
    for task in PIPELINE_REGISTRY.get_supported_tasks():
        _, settings, _ = PIPELINE_REGISTRY.check_task(task)
        tasks[task] = list(settings["pt"])
    return tasks


def tasks_of(config: Any) -> list[str]:
    """The tasks for which transformers has a class for a configuration."""
    return sorted(
        task
        for task, classes in known_tasks().items()
        if any(type(config) in cls._model_mapping for cls in classes)
    )


def _task_of(name: str) -> str:
    """The task for which a class is named.

    >>> _task_of("AutoModelForSeq2SeqLM"), _task_of("AutoModelForQuestionAnswering")
    ('seq2seq-lm', 'question-answering')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removeprefix(_PREFIX))
    return words.lower()
