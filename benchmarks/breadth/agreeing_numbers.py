"""Numbers of a small configuration that must agree with other ones: counts, groups and stages."""

from collections.abc import Iterator, Mapping
from typing import Any

from breadth.roles import Role, role_of

_MAX_GROUPS = 64
"""Groups of a convolution that are more than these are its channels."""


def with_counts(result: dict[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of patches along a side as the smaller image has them, and groups of one each."""
    changed = dict(result)
    patch = patch_side(part)
    for name in [n for n in part if role_of(n) is Role.IMAGE and is_count(part[n])]:
        if patch and part[name] != result[name]:
            counts = {n for n in part if "image" in n and part[n] == part[name] // patch > 1}
            changed |= dict.fromkeys(counts - {name}, result[name] // patch)
    for name in [n for n in part if "group" in n and is_count(part[n]) and part[n] > _MAX_GROUPS]:
        widths = [n for n in part if role_of(n) is Role.WIDTH and part[n] == part[name]]
        if widths:
            changed[name] = result[widths[0]]
    return changed


def stages_of_layers(part: Mapping[str, Any]) -> int:
    """The number of layers that a part returns, where each layer is a stage; else 0."""
    names, indices = part.get("stage_names"), part.get("out_indices")
    layers = {v for k, v in part.items() if role_of(k) is Role.LAYERS and is_count(v)}
    if not is_list(names) or not is_list(indices) or len(names) - 1 not in layers:
        return 0
    return len(indices)


def with_smaller_maps(result: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of feature maps, as rows of numbers, as the smaller image has them."""
    ratios = set(_image_ratios(result, config))
    return _with_maps(result, min(ratios)) if len(ratios) == 1 else result


def _image_ratios(result: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[int]:
    for name, value in part.items():
        small = result.get(name)
        if isinstance(value, Mapping) and isinstance(small, Mapping):
            yield from _image_ratios(small, value)
        elif (
            isinstance(name, str)
            and role_of(name) is Role.IMAGE
            and is_count(value)
            and small
            and value % small == 0
        ):
            yield value // small


def _with_maps(part: Mapping[str, Any], ratio: int) -> dict[str, Any]:
    return {
        name: _with_maps(value, ratio) if isinstance(value, Mapping)
        else [[n // ratio for n in row] for row in value] if _is_maps(value, ratio) else value
        for name, value in part.items()
    }  # fmt: skip


def _is_maps(value: object, ratio: int) -> bool:
    """Whether a value is rows of two equal numbers that an image's ratio divides."""
    if not isinstance(value, list | tuple) or not value:
        return False
    pairs = [row for row in value if is_list(row) and len(row) == 2 and is_count(row[0])]
    return len(pairs) == len(value) and all(x == y and x % ratio == 0 for x, y in pairs)


def with_last_stages(
    result: dict[str, Any], part: Mapping[str, Any], most: int, layers: set[int]
) -> dict[str, Any]:
    """As many of the last layers are returned as before, where each layer is a stage."""
    names = part.get("stage_names")
    if not layers or not is_list(names) or len(names) - 1 not in layers:
        return result
    indices = part.get("out_indices") or [-1]
    count = min(max(layers), most)
    left = {k: v for k, v in result.items() if k not in {"stage_names", "out_features"}}
    return {**left, "out_indices": list(range(count + 1))[-len(indices) :]}


def patch_side(part: Mapping[str, Any]) -> int | None:
    """The side of a patch of an image, in pixels."""
    patch = part.get("patch_size")
    if is_list(patch) and patch is not None:
        patch = patch[-1]
    return patch if isinstance(patch, int) else None


def is_count(value: object) -> bool:
    """Whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_list(value: object) -> bool:
    """Whether a value is a list with items."""
    return isinstance(value, list | tuple) and bool(value)
