"""A small model of a type, with random weights, saved as a folder as users have them."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.models.auto import configuration_auto, modeling_auto

from breadth.shrinking import DEGREES, shrink
from fixtures_gen.registry import SEED, randomized
from modelexport.support.error_texts import first_line

_MAX_PARAMETERS = 40_000_000
"""Models with more are too slow for a table."""


_NEEDED = 4
"""Value of a setting that has no default and that the model needs."""


class BuildError(Exception):
    """A model could not be built; one reason for each degree."""


def model_types() -> list[str]:
    """The model types that a mapping of transformers names a model for."""
    return [name for name in configuration_auto.CONFIG_MAPPING_NAMES if architecture(name)]


def architecture(model_type: str) -> str | None:
    """The class of a model type: that of `AutoModel`, else of the first head that there is."""
    names = [n for n in vars(modeling_auto) if n.endswith("_MAPPING_NAMES") and "CONFIG" not in n]
    for name in sorted(names, key=lambda n: (n != "MODEL_MAPPING_NAMES", "BACKBONE" in n)):
        if value := getattr(modeling_auto, name).get(model_type):
            return value if isinstance(value, str) else value[0]
    return None


def models(model_type: str) -> Iterator[tuple[nn.Module, int]]:
    """Models of a type, the smallest first, each with its degree.

    Raises:
        BuildError: There is no model of any degree.
    """
    class_ = _model_class(model_type)
    reasons: list[str] = []
    built = 0
    for degree, config in _configs(model_type, reasons):
        try:
            size = _size(class_, config)
            if size > _MAX_PARAMETERS:
                reasons.append(f"{size} parameters")
                continue
            torch.manual_seed(SEED)
            model = randomized(_new(class_, config).float()).eval()
        except Exception as error:  # noqa: BLE001 - the model's own checks, of any kind
            reasons.append(first_line(error, with_type=True))
            continue
        built += 1
        yield model, degree
    if not built:
        raise BuildError("; ".join(dict.fromkeys(reasons)))


def _size(class_: Any, config: PretrainedConfig) -> int:
    """Number of parameters; settings that the model says it needs are set."""
    for _ in range(4):
        try:
            with torch.device("meta"):
                return sum(p.numel() for p in _new(class_, config).parameters())
        except ValueError as error:
            needed = re.search(r"`(\w+)` config needs to be specified", str(error))
            if needed is None:
                raise
            setattr(config, needed[1], _NEEDED)
    raise BuildError("more than four settings are missing")


def save(model: Any, folder: Path) -> None:
    """Write a model as a folder."""
    model.save_pretrained(folder)


def _new(class_: Any, config: PretrainedConfig) -> Any:
    return class_._from_config(config)  # noqa: SLF001 - what AutoModel.from_config calls


def _configs(model_type: str, reasons: list[str]) -> Iterator[tuple[int, PretrainedConfig]]:
    class_: Any = CONFIG_MAPPING[model_type]
    try:
        settings = class_().to_dict()
    except Exception as error:  # noqa: BLE001 - configurations check themselves in any way
        reasons.append(f"default configuration: {first_line(error, with_type=True)}")
        return
    for number, degree in enumerate(DEGREES):
        try:
            yield number, class_.from_dict(shrink(settings, degree))
        except Exception as error:  # noqa: BLE001 - see above
            reasons.append(f"configuration: {first_line(error, with_type=True)}")


def _model_class(model_type: str) -> Any:
    import transformers

    name = architecture(model_type)
    assert name is not None
    if (class_ := getattr(transformers, name, None)) is not None:
        return class_
    package = configuration_auto.model_type_to_module_name(model_type)
    module = importlib.import_module(f"transformers.models.{package}.modeling_{package}")
    return getattr(module, name)
