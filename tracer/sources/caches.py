"""The names of the tensors in a cache of keys and values.

A cache of transformers holds a list of layers, each of which holds tensors; a cache of an encoder
and a decoder holds two caches. The names that runtimes and other exporters use put the number of
the layer first: `0.key`, `0.decoder.key`.
"""

import sys
from collections.abc import Sequence

from modelexport.hierarchy.choices import PartRole

_SHORT = {
    "keys": "key",
    "values": "value",
    "self_attention_cache": str(PartRole.DECODER),
    "cross_attention_cache": str(PartRole.ENCODER),
}
"""Attributes of caches and their layers, as they stand in names of inputs."""


def is_cache(value: object) -> bool:
    """Whether a value is a cache of transformers. Does not import transformers."""
    caches = sys.modules.get("transformers.cache_utils")
    return caches is not None and isinstance(value, caches.Cache)


def cache_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """The name of a tensor in a cache, by the attributes that lead to it.

    >>> cache_steps(["layers", "3", "keys"])
    ('3', 'key')
    >>> cache_steps(["cross_attention_cache", "0", "value"])
    ('0', 'encoder', 'value')
    """
    layer = next((k for k, step in enumerate(steps) if step.isdigit()), None)
    if layer is None:
        return tuple(steps)
    before = [step for step in steps[:layer] if step in _SHORT]  # else the name of the list
    return tuple(_SHORT.get(step, step) for step in (steps[layer], *before, *steps[layer + 1 :]))
