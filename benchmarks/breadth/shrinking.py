"""Small configurations: a default configuration with fewer layers, heads, tokens and channels.

Numbers of one role are divided by one factor in the whole configuration, so that numbers that
must agree still do: a width stays the number of heads times the width of a head. There are
several degrees. The first is the smallest; a model whose own checks refuse it gets the next.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from breadth.agreeing_numbers import (
    is_count,
    is_list,
    patch_side,
    stages_of_layers,
    with_counts,
    with_last_stages,
    with_smaller_maps,
)
from breadth.roles import Role, role_of

_NEVER = frozenset(
    {"num_channels", "in_channels", "in_chans", "num_input_channels", "out_channels"}
)
"""Widths of what a model reads or returns, such as the colours of an image."""


@dataclass(frozen=True)
class Degree:
    """How much smaller a configuration gets.

    Attributes:
        layers: Maximum number of layers.
        heads: Target number of attention heads.
        head_width: Target width of a head.
        width: Target for the smallest width where there are no heads.
        vocabulary: Maximum number of tokens; None to leave it.
        images: Whether images get smaller.
        positions: Maximum number of positions.
        experts: Maximum number of experts.
    """

    layers: int = 2
    heads: int = 4
    head_width: int = 16
    width: int = 16
    vocabulary: int | None = 320
    images: bool = True
    positions: int = 256
    experts: int = 4


_ALL = 1 << 20
"""So many that nothing gets smaller."""

DEGREES = (
    Degree(),
    Degree(layers=4, images=False, positions=2048, head_width=32, width=32, vocabulary=None),
    Degree(head_width=_ALL),
    Degree(heads=_ALL, head_width=_ALL, width=_ALL),
    Degree(layers=_ALL),
    Degree(layers=4, images=False, positions=2048, head_width=64, heads=8, width=64, experts=8),
    Degree(layers=4, images=False, positions=8192, head_width=256, heads=256, width=4096,
        experts=16),
    Degree(
        layers=4, images=False, positions=_ALL, head_width=_ALL, heads=_ALL, width=_ALL,
        vocabulary=None, experts=_ALL,
    ),
)  # fmt: skip


def shrink(config: Mapping[str, Any], degree: Degree) -> dict[str, Any]:
    """A smaller configuration.

    Args:
        config: The configuration as nested dictionaries.
        degree: How small.
    """
    factors = _factors(config, degree)
    return with_smaller_maps(_shrink_part(config, degree, factors, None), config)


@dataclass(frozen=True)
class _Factors:
    heads: int
    head_width: int
    width: int


def _factors(config: Mapping[str, Any], degree: Degree) -> _Factors:
    """By what heads and widths are divided, in the whole configuration."""
    numbers = list(_numbers(config))
    heads = [n for role, n in numbers if role is Role.HEADS and n > 1]
    widths = [n for role, n in numbers if role is Role.WIDTH and n >= degree.width]
    if not widths:
        return _Factors(1, 1, 1)
    if not heads:
        width = _power(min(widths) // degree.width)
        return _Factors(1, width, width)
    by_heads = _power(max(heads) // degree.heads)
    while by_heads > 1 and any(n % by_heads for n in heads if n >= degree.heads):
        by_heads //= 2
    head_width = _head_width(config)
    by_width = _power(head_width // degree.head_width)
    while by_width > 1 and any(n % (by_heads * by_width) for n in widths if n > 128):
        by_width //= 2
    return _Factors(by_heads, by_width, by_heads * by_width)


def _head_width(config: Mapping[str, Any]) -> int:
    """The smallest width of a head that a configuration states or implies."""
    explicit = [n for role, n in _numbers(config) if role is Role.HEAD_WIDTH]
    implied = []
    for part in _parts(config):
        heads = [v for k, v in part.items() if role_of(k) is Role.HEADS and is_count(v)]
        width = part.get("hidden_size") or part.get("d_model") or part.get("n_embd")
        if heads and is_count(width):
            implied.append(width // max(heads))
    return min([*explicit, *implied], default=64)


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield config
    for value in config.values():
        if _is_part(value):
            yield from _parts(value)


def _is_part(value: object) -> bool:
    """Whether a value holds fields; the names of labels are numbered."""
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and not key.isdigit() for key in value
    )


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[Role, int]]:
    for part in _parts(config):
        for name, value in part.items():
            if name in _NEVER:
                continue
            for number in value if isinstance(value, list | tuple) else [value]:
                if is_count(number):
                    yield role_of(name), number


def _power(ratio: int) -> int:
    """The largest power of two that is no larger than a ratio; at least 1."""
    return 1 << (max(1, ratio).bit_length() - 1)


def _shrink_part(
    part: Mapping[str, Any], degree: Degree, factors: _Factors, vocabulary: int | None
) -> dict[str, Any]:
    """One configuration of several that make up the whole.

    Args:
        part: The part.
        degree: How small.
        factors: By what heads and widths are divided.
        vocabulary: The vocabulary of the part around it, for tokens.
    """
    sizes = [v for k, v in part.items() if role_of(k) is Role.VOCABULARY and is_count(v)]
    if degree.vocabulary is not None and sizes:
        vocabulary = min(degree.vocabulary, max(sizes))
    elif degree.vocabulary is not None and vocabulary is None:
        vocabulary = min(degree.vocabulary, _vocabulary_below(part) or degree.vocabulary)
    degree = replace(degree, layers=max(degree.layers, stages_of_layers(part)))
    resize = _resizers(degree, factors, vocabulary, patch_side(part))
    stages = {len(v) for k, v in part.items() if role_of(k) is Role.LAYERS and is_list(v)}
    layers = {v for k, v in part.items() if role_of(k) is Role.LAYERS and is_count(v)} - stages
    result = {}
    for name, value in part.items():
        if _is_part(value):
            result[name] = _shrink_part(value, degree, factors, vocabulary)
        else:
            result[name] = _resized(name, value, resize, degree, layers, stages)
    return with_last_stages(with_counts(result, part), part, degree.layers, layers)


def _vocabulary_below(part: Mapping[str, Any]) -> int | None:
    sizes = [n for role, n in _numbers(part) if role is Role.VOCABULARY]
    return max(sizes, default=None)


def _resizers(
    degree: Degree, factors: _Factors, vocabulary: int | None, patch: int | None
) -> dict[Role, Callable[[int], int]]:
    """For each role, what becomes of a number."""
    return {
        Role.LAYERS: lambda n: min(n, degree.layers),
        Role.HEADS: lambda n: max(1, n // factors.heads),
        Role.HEAD_WIDTH: lambda n: max(2, n // factors.head_width),
        Role.WIDTH: lambda n: n if n < 16 else max(4, n // factors.width),
        Role.VOCABULARY: lambda n: min(n, degree.vocabulary or n),
        Role.TOKEN: lambda n: _token(n, vocabulary),
        Role.POSITIONS: lambda n: min(n, degree.positions),
        Role.EXPERT_GROUPS: lambda n: 1 if degree.experts <= 16 else n,
        Role.EXPERTS: lambda n: min(n, degree.experts),
        Role.CHOSEN: lambda n: min(n, 2) if degree.experts <= 16 else n,
        Role.QUERIES: lambda n: min(n, 12) if degree.images else n,
        Role.FRAMES: lambda n: min(n, 4) if degree.images else n,
        Role.IMAGE: lambda n: _image_side(n, patch) if degree.images else n,
        Role.OTHER: lambda n: n,
    }


def _image_side(side: int, patch: int | None) -> int:
    """A smaller side of an image, in pixels: four patches, or a quarter of what it was."""
    if patch is not None and patch >= 8 and side % patch == 0:
        return min(side, 4 * patch)
    if side < 256:
        return side
    return side // 4 if side % 32 == 0 or patch is not None else max(64, side // 128 * 32)


def _token(token: int, vocabulary: int | None) -> int:
    """A token of the small vocabulary: the same, or one near its end."""
    if vocabulary is None or token < vocabulary:
        return token
    return vocabulary - 1 - token % min(64, vocabulary // 2)


def _resized(
    name: str, value: Any, resize: Mapping[Role, Callable[[int], int]], degree: Degree,
    layers: set[int], stages: set[int],
) -> Any:  # fmt: skip
    """The value of a field in the smaller configuration."""
    role = role_of(name)
    if name in _NEVER or (role is Role.LAYERS and is_count(value) and value in stages):
        return value
    if isinstance(value, Mapping):
        return _of_first_layers(value, degree, layers)
    if is_count(value):
        return resize[role](value)
    if not isinstance(value, list | tuple) or not value:
        return value
    if role is Role.LAYERS and all(map(_is_index, value)) and len(value) not in layers:
        shrunk = [resize[role](n) if n else n for n in value]
    elif role is not Role.OTHER and all(map(is_count, value)):
        shrunk = [resize[role](n) for n in value]
    else:
        shrunk = list(value)
    if len(shrunk) in layers and len(shrunk) > degree.layers:
        shrunk = _cut(shrunk, degree.layers)
    elif layers and ("index" in name or "indices" in name or name.endswith("layers")):
        last = min(max(layers), degree.layers)
        shrunk = (
            sorted({min(n, last - 1) for n in shrunk}) if all(map(_is_index, shrunk)) else shrunk
        )
    return shrunk


def _of_first_layers(
    settings: Mapping[Any, Any], degree: Degree, layers: set[int]
) -> dict[Any, Any]:
    """Settings of numbered layers, without those of layers that are no more."""
    numbers = [int(key) for key in settings if str(key).isdigit()]
    if not layers or not numbers or degree.layers >= max(layers) or max(numbers) >= max(layers):
        return dict(settings)
    return {k: v for k, v in settings.items() if not str(k).isdigit() or int(k) < degree.layers}


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _cut(items: list[Any], length: int) -> list[Any]:
    """The items of the first layers, with the last ones of a kind that would be missing."""
    kinds: list[Any] = []
    for item in items:
        if item not in kinds:
            kinds.append(item)
    return kinds[:length] if len(kinds) >= length else items[:length]
