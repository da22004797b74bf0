"""A small model of a type, with random weights, saved as a folder as users have them."""

import importlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.models.auto import configuration_auto, modeling_auto

from breadth.constraints import example_settings, satisfying
from breadth.settings import with_needed_setting
from breadth.shrinking import DEGREES, shrink
from fixtures_gen.registry import SEED, randomized
from modelexport.support.error_texts import first_line

_MAX_PARAMETERS = 160_000_000
"""Models with more are too slow for a table, if there is a smaller one."""

_MOST_PARAMETERS = 400_000_000
"""Parameters of the largest model that is taken where there is no smaller one."""

_MAX_MISSING = 8
"""Maximum number of settings that a default configuration may lack."""

_OTHER_PARTS = 4
"""Maximum number of parts that are tried in place of one whose library is not installed."""


_WITH_OTHER_PARTS = (0, 3)
"""Numbers of the degrees in which these are tried."""


class BuildError(Exception):
    """A model could not be built; one reason for each degree."""


def model_types() -> list[str]:
    """The model types that a mapping of transformers names a model for."""
    return [name for name in configuration_auto.CONFIG_MAPPING_NAMES if architectures(name)]


def architectures(model_type: str) -> list[str]:
    """The classes of a model type: that of `AutoModel`, then those of its heads."""
    names = [n for n in vars(modeling_auto) if n.endswith("_MAPPING_NAMES") and "CONFIG" not in n]
    names.sort(key=lambda n: (n != "MODEL_MAPPING_NAMES", "BACKBONE" in n))
    classes = [getattr(modeling_auto, name).get(model_type) for name in names]
    return list(dict.fromkeys(c if isinstance(c, str) else c[0] for c in classes if c))


def models(model_type: str) -> Iterator[tuple[nn.Module, int]]:
    """Models of a type, the smallest first, each with its degree.

    Raises:
        BuildError: There is no model of any degree.
    """
    reasons: list[str] = []
    large: list[tuple[int, int, Any, PretrainedConfig]] = []
    built = 0
    for name in architectures(model_type):
        class_ = _model_class(model_type, name)
        if class_.forward is nn.Module.forward:
            reasons.append(f"{name} has no forward of its own")
            continue
        for degree, config in _configs(model_type, reasons):
            try:
                size = _size(class_, config)
                if size > _MAX_PARAMETERS:
                    reasons.append(f"{size} parameters")
                    large.append((size, degree, class_, config))
                    continue
                model = _randomized(class_, config)
            except Exception as error:  # noqa: BLE001 - the model's own checks, of any kind
                reasons.append(first_line(error, with_type=True))
                continue
            built += 1
            yield model, degree
        if built:
            return
    large.sort(key=lambda model: model[0])
    for _, degree, class_, config in [model for model in large if model[0] <= _MOST_PARAMETERS][:1]:
        yield _randomized(class_, config), degree
        return
    raise BuildError("; ".join(dict.fromkeys(reasons)))


def rebuilt(model: Any, error: BaseException) -> nn.Module | None:
    """The model with a setting that its error shows to be missing; None if it does not."""
    if not with_needed_setting(model.config, error):
        return None
    try:
        config = type(model.config).from_dict(model.config.to_dict())
        return _randomized(type(model), config)
    except Exception:  # noqa: BLE001 - the model's own checks refuse the setting
        return None


def _randomized(class_: Any, config: PretrainedConfig) -> nn.Module:
    torch.manual_seed(SEED)
    return randomized(_new(class_, config).float()).eval()


def _size(class_: Any, config: PretrainedConfig) -> int:
    """Number of parameters; settings that the model says it needs are set."""
    for _ in range(_MAX_MISSING):
        try:
            with torch.device("meta"):
                return sum(p.numel() for p in _new(class_, config).parameters())
        except Exception as error:
            if not with_needed_setting(config, error):
                raise
            config.__dict__.update(vars(type(config).from_dict(config.to_dict())))
    raise BuildError(f"more than {_MAX_MISSING} settings are missing")


def save(model: Any, folder: Path) -> None:
    """Write a model as a folder."""
    model.save_pretrained(folder)


def _new(class_: Any, config: PretrainedConfig) -> Any:
    return class_._from_config(config)  # noqa: SLF001 - what AutoModel.from_config calls


def _configs(model_type: str, reasons: list[str]) -> Iterator[tuple[int, PretrainedConfig]]:
    class_: Any = CONFIG_MAPPING[model_type]
    settings: dict[str, Any] = {}
    try:
        settings = class_().to_dict()
    except Exception as error:  # noqa: BLE001 - configurations check themselves in any way
        reasons.append(f"default configuration: {first_line(error, with_type=True)}")
    if settings:
        yield from _shrunk(class_, settings, range(len(DEGREES)), reasons)
    example = example_settings(class_)
    if example is not None and example != settings:
        yield from _shrunk(class_, example, range(len(DEGREES)), reasons)
    if settings and any(reason.startswith(ImportError.__name__) for reason in reasons):
        for other in islice(_other_parts(settings), _OTHER_PARTS):
            yield from _shrunk(class_, other, _WITH_OTHER_PARTS, reasons)


def _shrunk(
    class_: Any, settings: dict[str, Any], degrees: Iterable[int], reasons: list[str]
) -> Iterator[tuple[int, PretrainedConfig]]:
    for number in degrees:
        try:
            yield number, _checked(class_, shrink(settings, DEGREES[number]))
        except Exception as error:  # noqa: BLE001 - see above
            reasons.append(f"configuration: {first_line(error, with_type=True)}")


def _checked(class_: Any, settings: dict[str, Any]) -> PretrainedConfig:
    """A configuration, changed as its own checks ask for it."""
    changed: dict[str, Any] | None = settings
    while True:
        try:
            return class_.from_dict(changed)  # type: ignore[no-any-return]
        except Exception as error:
            if (changed := satisfying(changed or {}, error)) is None:
                raise


def _other_parts(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings with other backbones in place of parts that this installation cannot build."""
    names = [
        name for name, part in settings.items()
        if isinstance(part, dict) and part.get("model_type") and not _is_installed(part)
    ]  # fmt: skip
    for backbone in modeling_auto.MODEL_FOR_BACKBONE_MAPPING_NAMES if names else ():
        part = CONFIG_MAPPING[backbone]().to_dict()
        if "stage_names" in part and _is_installed(part):
            yield {**settings, **dict.fromkeys(names, part)}


def _is_installed(part: dict[str, Any]) -> bool:
    """Whether a part can be built without a library that is not installed."""
    names = architectures(part["model_type"])
    if not names:
        return True
    try:
        with torch.device("meta"):
            _new(
                _model_class(part["model_type"]), CONFIG_MAPPING[part["model_type"]].from_dict(part)
            )
    except ImportError:
        return False
    except Exception:  # noqa: BLE001 - it fails later in another way
        return True
    return True


def _model_class(model_type: str, name: str) -> Any:
    import transformers

    if (class_ := getattr(transformers, name, None)) is not None:
        return class_
    package = configuration_auto.model_type_to_module_name(model_type)
    module = importlib.import_module(f"transformers.models.{package}.modeling_{package}")
    return getattr(module, name)
