"""Settings that a model needs and that its default configuration lacks, as its errors show them."""

import inspect
import re
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from transformers import PretrainedConfig

from breadth.constraints import with_channels, with_fewer_heads, with_fraction
from breadth.roles import Role, role_of
from modelexport.tracer.sources.generated.conventions import find_setting

_SETTING = re.compile(r"""config\.(\w+)|config,\s*["'](\w+)["']""")
"""How code reads a setting."""

_KIND = re.compile(r"""config\.(\w+)\[\w+\](?:\s*[!=]=\s*["'](\w+)["'])?""")
"""How code asks for the kind of a layer, or for what belongs to a kind."""

_LACKS = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
"""How Python says that an object lacks a setting."""

_NUMBER = 4
_CHOSEN = 2
_FRACTION = 0.5
"""Values of a setting that has no default and that the model needs."""


def with_needed_setting(config: PretrainedConfig, error: BaseException) -> bool:
    """Set the setting that an error is about.

    Args:
        config: The configuration. It gets the setting, or the part of it does that lacks it.
        error: What the model raised when it was built or run.

    Returns:
        Whether the error is about a setting that is missing.
    """
    if (
        _with_sections(config, error)
        or _with_rotation(config, error)
        or with_fewer_heads(error, _parts(config))
        or with_channels(error, _parts(config))
        or with_fraction(error, _parts(config))
        or _with_layer_kind(config, error)
        or _with_token_in_range(config, error)
        or _with_fewer_chosen(config, error)
    ):
        return True
    for owner, name in _needed(config, error):
        if (value := _value(config, owner, name)) is not None:
            # the model that failed may have been loaded with a copy of the configuration
            own = (part for part in _parts(config) if type(part) is type(owner))
            setattr(next(own, owner), name, value)
            return True
    return False


def _needed(config: PretrainedConfig, error: BaseException) -> Iterator[tuple[Any, str]]:
    """The settings that are missing, each with the configuration that lacks it."""
    if (match := re.search(r"`(\w+)` config needs to be specified", str(error))) is not None:
        yield config, match[1]
    for name in re.findall(r"""[`'"](\w+)[`'"]""", str(error)):
        yield from ((part, name) for part in _parts(config) if _is_none(part, name))
    if isinstance(error, AttributeError) and isinstance(error.obj, PretrainedConfig):
        yield error.obj, error.name
    elif (match := _LACKS.search(str(error))) is not None:
        owners = (part for part in _parts(config) if type(part).__name__ == match[1])
        yield from ((owner, match[2]) for owner in owners if not hasattr(owner, match[2]))
    if isinstance(error, TypeError | AttributeError | ValueError | RuntimeError):
        for frame, statement in _frames(error.__traceback__):
            yield from _absent(config, frame, statement)


def _with_sections(config: PretrainedConfig, error: BaseException) -> bool:
    """Set the parts of a rotation, by default too long or too short for the width of a head."""
    match = re.search(r"sum exactly to (\d+) .*split_sizes=\[([\d, ]+)\]", str(error))
    if match is None:
        return False
    sizes = [int(size) for size in match[2].split(",")]
    for frame, statement in _frames(error.__traceback__):
        for name in re.findall(r"self\.(\w+)", statement):
            default = getattr(frame.f_locals.get("self"), name, None)
            if not isinstance(default, list | tuple) or len(default) != len(sizes):
                continue
            total = int(match[1]) * sum(default) // sum(sizes)
            part = total // len(default)
            sections = [*[part] * (len(default) - 1), total - part * (len(default) - 1)]
            rotations = [getattr(part, "rope_parameters", None) for part in _parts(config)]
            for rotation in filter(None, rotations):
                rotation[name] = sections
            return any(rotations)
    return False


def _with_layer_kind(config: PretrainedConfig, error: BaseException) -> bool:
    """Set the kinds of layers as the statement that failed compares them, or what a kind lacks."""
    for frame, statement in _frames(error.__traceback__)[:1]:
        if (match := _KIND.search(statement)) is None:
            continue
        for part in _parts(config):
            setting = getattr(part, match[1], ...)
            if setting is None and match[2] and (layers := find_setting(part, "num_hidden_layers")):
                setattr(part, match[1], [match[2]] * layers)
                return True
            if (
                isinstance(error, KeyError)
                and isinstance(setting, dict)
                and type(part) is type(getattr(frame.f_locals.get("self"), "config", None))
            ):
                kinds = set(getattr(part, "layer_types", None) or [])
                settings = {k: v for k, v in setting.items() if k not in kinds}
                settings.setdefault("rope_theta", part.default_theta)
                setattr(part, match[1], {kind: dict(settings) for kind in kinds})
                return error.args[0] in kinds and error.args[0] not in setting
    return False


def _with_token_in_range(config: PretrainedConfig, error: BaseException) -> bool:
    """Set a token that the code takes from the end of the large vocabulary."""
    if (match := re.search(r"index (\d+) is out of bounds .* size (\d+)", str(error))) is None:
        return False
    for frame, _ in _frames(error.__traceback__):
        try:
            code = inspect.getsource(type(frame.f_locals.get("self")))
        except (OSError, TypeError):  # no file has the code
            continue
        for name, default in re.findall(r"""getattr\(config, ["'](\w+)["'], ([\d_]+)\)""", code):
            if int(default) == int(match[1]) and not hasattr(config, name):
                setattr(config, name, int(match[2]) - 2)
                return True
    return False


def _with_fewer_chosen(config: PretrainedConfig, error: BaseException) -> bool:
    """Set how many of a few are chosen, where the statement that failed chooses more."""
    if "selected index k out of range" not in str(error):
        return False
    for frame, statement in _frames(error.__traceback__):
        for name in re.findall(r"self\.(\w+)", statement):
            number = getattr(frame.f_locals.get("self"), name, None)
            settings = [(p, n) for p in _parts(config) for n, v in vars(p).items() if v == number]
            if type(number) is int and number > _CHOSEN and settings:
                for part, setting in settings:
                    setattr(part, setting, _CHOSEN)
                return True
    return False


def _with_rotation(config: PretrainedConfig, error: BaseException) -> bool:
    """Set the parts of a rotation where there are none: three that share half a head."""
    for frame, statement in _frames(error.__traceback__)[:1]:
        for name in re.findall(r"len\(self\.(\w+)\)", statement):
            parts = [p for p in _parts(config) if getattr(p, "rope_parameters", None)]
            if _is_none(frame.f_locals.get("self"), name) and parts:
                for part in parts:
                    heads = _of_role(part, part, Role.HEADS) or 1
                    width = find_setting(part, "head_dim") or part.hidden_size // heads
                    third = width // 6
                    part.rope_parameters[name] = [width // 2 - 2 * third, third, third]
                return True
    return False


def _parts(config: PretrainedConfig) -> Iterator[PretrainedConfig]:
    """A configuration and its parts."""
    yield config
    for part in vars(config).values():
        if isinstance(part, PretrainedConfig):
            yield from _parts(part)


def _absent(
    config: PretrainedConfig, frame: FrameType, statement: str
) -> Iterator[tuple[Any, str]]:
    """The settings that are None among those that a function reads, those of a statement first."""
    owner = frame.f_locals.get("self")
    configs = [v for v in frame.f_locals.values() if isinstance(v, PretrainedConfig)]
    if isinstance(own := getattr(owner, "config", None), PretrainedConfig):
        configs.append(own)
    configs += _parts(config)
    try:
        code = inspect.getsource(frame.f_code)
        class_code = inspect.getsource(type(owner)) if owner is not None else ""
    except (OSError, TypeError):  # no file has the code
        return
    attributes = [n for n in re.findall(r"self\.(\w+)", statement) if _is_none(owner, n)]
    names = [
        match for a in attributes
        for line in re.findall(rf"self\.{a}\s*=.*", class_code)
        for match in _SETTING.findall(line)
    ]  # fmt: skip
    names += _SETTING.findall(statement) + _SETTING.findall(code)
    for name in dict.fromkeys(one or other for one, other in names):
        yield from ((config, name) for config in configs if _is_none(config, name))


def _is_none(owner: object, name: str) -> bool:
    return getattr(owner, name, ...) is None


def _frames(traceback: TracebackType | None) -> list[tuple[FrameType, str]]:
    """The three innermost frames, each with the line that failed, the innermost first."""
    import linecache

    frames = []
    while traceback is not None:
        line = linecache.getline(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        frames.append((traceback.tb_frame, line))
        traceback = traceback.tb_next
    return frames[::-1][:3]


def _value(config: PretrainedConfig, owner: Any, name: str) -> Any:
    """A value for a setting: what another part has, or what its role asks for."""
    if name.startswith("_") or name in vars(PretrainedConfig):
        return None  # not the model's own
    if (value := find_setting(config, name)) is not None:
        return value
    annotation = _annotation(owner, name)
    if annotation is not None and ("float" in annotation or "int" not in annotation):
        return _of_other_type(annotation, find_setting(config, "num_labels"))
    if (number := _of_role(config, owner, role_of(name))) is not None:
        return number
    if "attn" in name:
        return None
    return [_NUMBER] if annotation is not None and annotation.startswith("list") else _NUMBER


def _of_role(config: PretrainedConfig, owner: Any, role: Role) -> int | None:
    """A number that goes with the other ones of a configuration; None where the role is another."""
    heads = next((v for k, v in vars(owner).items() if role_of(k) is Role.HEADS and v), None)
    width = find_setting(owner, "hidden_size")
    vocabulary = find_setting(config, "vocab_size")
    if role is Role.HEAD_WIDTH and isinstance(heads, int) and isinstance(width, int):
        return width // heads
    if role is Role.HEADS and isinstance(heads, int):
        return heads
    if role is Role.TOKEN and isinstance(vocabulary, int):
        return vocabulary - 2
    return vocabulary if role is Role.VOCABULARY and isinstance(vocabulary, int) else None


def _annotation(owner: object, name: str) -> str | None:
    """The type of a setting as text; None where the configuration does not state it."""
    for class_ in type(owner).__mro__:
        if name in vars(class_).get("__annotations__", {}):
            return str(vars(class_)["__annotations__"][name])
    return None


def _of_other_type(annotation: str, labels: int | None) -> Any:
    """A value of a setting that is no whole number; None where its type says too little."""
    if annotation.startswith("dict"):
        return {}
    if "float" in annotation:
        return [_FRACTION] * (labels or 1) if annotation.startswith("list") else _FRACTION
    return False if "bool" in annotation else None
