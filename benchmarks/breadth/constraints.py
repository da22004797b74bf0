"""Settings that satisfy what a model's own checks say of them."""

import doctest
import re
from collections.abc import Iterator, Mapping
from typing import Any

from transformers import PretrainedConfig

from breadth.roles import Role, role_of

_EQUAL = re.compile(r"`?(?P<name>\w+)`? must be (?P<want>\d+), got \d+")
_MULTIPLE = re.compile(
    r"`?(?P<name>\w+)`?(?: \(\d+\))? must be (?:divisible by|a multiple of) [^(]*\((?P<unit>\d+)\)"
)
_CHANNELS = re.compile(r"to have (?P<want>\d+) channels, but got (?P<got>\d+) channels")
_FRACTION = re.compile(r"between (?P<low>\d) and (?P<high>\d), but got (?P<got>\d+)")
_DIVISOR = re.compile(r"must be divisible by .*?\D(?P<whole>\d+)\D.*?(?P<part>\d+)")


def satisfying(settings: Mapping[str, Any], error: BaseException) -> dict[str, Any] | None:
    """The settings as the check wants them that refused them; None where it does not say it.

    Args:
        settings: A configuration as nested dictionaries.
        error: What the configuration raised.
    """
    message = " ".join(str(error).split())
    if (match := _EQUAL.search(message)) is not None:
        return _with_value(settings, match["name"], lambda _: int(match["want"]))
    if (match := _MULTIPLE.search(message)) is not None:
        unit = int(match["unit"])
        return _with_value(settings, match["name"], lambda number: -(-number // unit) * unit)
    return None


def _with_value(settings: Mapping[str, Any], name: str, change: Any) -> dict[str, Any] | None:
    """The settings with another value of one of them; None where that changes nothing."""
    changed = {
        key: change(value) if key == name and isinstance(value, int)
        else (_with_value(value, name, change) or value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
    }  # fmt: skip
    return changed if changed != settings else None


def with_fewer_heads(error: BaseException, configs: Iterator[PretrainedConfig]) -> bool:
    """Set a number of heads that divides the width that the check names."""
    if (match := _DIVISOR.search(str(error))) is None:
        return False
    width, heads = int(match["whole"]), int(match["part"])
    if not 0 < heads <= width:
        return False
    for config in configs:
        names = [n for n, v in vars(config).items() if v == heads and role_of(n) is Role.HEADS]
        if names and width in vars(config).values():
            fewer = next(n for n in range(heads, 0, -1) if width % n == 0)
            for name in names:
                setattr(config, name, fewer)
            return fewer != heads
    return False


def with_channels(error: BaseException, configs: Iterator[PretrainedConfig]) -> bool:
    """Set what a layer reads to what the layers before it give: a number, or one in a list.

    Where the layer reads several things side by side, the number is one that another part has.
    """
    if (match := _CHANNELS.search(str(error))) is None:
        return False
    want, got = int(match["want"]), int(match["got"])
    parts = [vars(config) for config in configs]
    present = {value for part in parts for value in part.values() if type(value) is int}
    for part in parts:
        for name, value in part.items():
            if role_of(name) is not Role.WIDTH:
                continue
            if isinstance(value, list) and want in value:
                part[name] = [got if number == want else number for number in value]
                return True
            if type(value) is int and (value == want or value + got - want in present):
                part[name] = value + got - want
                return True
    return False


def with_fraction(error: BaseException, configs: Iterator[PretrainedConfig]) -> bool:
    """Set the settings that a check finds outside of a small range to its middle."""
    if (match := _FRACTION.search(str(error))) is None:
        return False
    middle = (int(match["low"]) + int(match["high"])) / 2
    for config in configs:
        names = [n for n, v in vars(config).items() if v == int(match["got"]) and type(v) is int]
        names = [name for name in names if role_of(name) is Role.OTHER]
        for name in names:
            setattr(config, name, middle)
        if names:
            return True
    return False


def example_settings(class_: Any) -> dict[str, Any] | None:
    """The configuration that the documentation of a class makes as its example; None without one.

    The statements run up to the first that makes such a configuration.
    """
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(class_.__doc__ or ""):
        try:
            exec(example.source, names)  # noqa: S102 - an example of the installed transformers
        except Exception:  # noqa: BLE001 - it needs a network, a library or a name of the user's
            return None
        configs = [value for value in names.values() if type(value) is class_]
        if configs:
            return dict(configs[0].to_dict())
    return None
