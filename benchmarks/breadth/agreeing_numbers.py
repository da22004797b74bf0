"""Numbers of a small configuration that must agree with other ones: counts, groups and stages."""

from collections.abc import Mapping
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
