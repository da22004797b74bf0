"""Numbers for the axes that documentation names: settings, or what such axes usually have."""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from modelexport.tracer.sources.generated.conventions import (
    CLIP_FRAMES,
    FUTURE_STEPS,
    IMAGE_SIDE,
    LAGS,
    MERGED_SIDE,
    PAST_STEPS,
    SPECTRUM_FRAMES,
    find_setting,
)

BATCH = 2
LENGTH = 12
"""Rows, and tokens in a row."""

FRAMES = 128
SAMPLES = 4_000
"""Steps of a spectrogram; samples of a waveform, a quarter of a second at 16 kHz."""

VIDEO_FRAMES = 4
IMAGE_SIZE = 64
MERGED_PATCHES = 2
"""Patches of an image in a grid along each side, after those that the model merges."""

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.Pow: operator.pow,
}
_BINS = 80
"""Bins of a spectrum, where neither the documentation nor the configuration says how many."""


@dataclass(frozen=True)
class Extents:
    """The extents of axes by their names.

    Attributes:
        config: The configuration of the model.
        channels: What the model's convolutions read: colours of an image, channels of a sound.
        batch: Number of rows.
        grid: Whether images come as one row of patches, with a grid that says which is where.
        overrides: Extents that a run of the model has asked for, by axis name.
    """

    config: Any
    channels: tuple[int, int] = (3, 1)
    batch: int = BATCH
    grid: bool = False
    overrides: dict[str, int] = field(default_factory=dict)

    def of(self, axis: str, parameter: str) -> int | None:
        """The extent of an axis of a parameter; None where nothing says it."""
        axis = axis.strip("`* ").replace("config.", "")
        if axis in self.overrides:
            return self.overrides[axis]
        if axis.isdigit():
            return int(axis)
        extent = self._by_words(axis.split("(")[0].strip().lower(), parameter)
        return extent if extent is not None else self._by_expression(axis, parameter)

    @property
    def patches(self) -> int:
        """Patches along each side of an image in a grid."""
        return MERGED_PATCHES * int(self.setting(MERGED_SIDE) or 2)

    def setting(self, *names: str) -> Any:
        """The first of some settings that the configuration or a part of it has; else None."""
        return next((v for n in names if (v := find_setting(self.config, n)) is not None), None)

    def _by_words(  # noqa: PLR0911 - one line for each kind of axis
        self, axis: str, parameter: str
    ) -> int | None:
        """The extent of an axis by what its name says."""
        if re.search(r"^(batch(_size)?|bs|b|num_tiles|num_questions|total_classes)$", axis):
            return self.batch
        if re.search(r"^num_images|^num_videos|^max_num_images|^num_media", axis):
            return 1
        if re.search(r"patches|image_tokens", axis):
            return self.patches**2
        if self.grid and re.search(r"seq", axis):
            return self.patches**2
        if re.search(r"^(height|width|(image|frame)_(size|height|width))$", axis):
            return self._image_side(axis)
        if axis in {"channels", "num_channels", "in_channels", "audio_channels"}:
            return self._channels(parameter)
        if re.search(r"mel|feature_(dim|size)|num_bins", axis):
            return self._by_expression(axis, "") or _BINS
        if re.search(r"^(num_)?frames$|^time$", axis) and "pixel" in parameter:
            return int(self.setting(*CLIP_FRAMES) or VIDEO_FRAMES)
        if re.search(
            r"seq|length|time|samples|frames|steps|num_(boxes|objects|points|tokens)", axis
        ):
            return self._length(parameter)
        return None

    def _image_side(self, axis: str) -> int:
        size = self.setting(*IMAGE_SIDE)
        if isinstance(size, dict):
            size = size.get("height") or next(iter(size.values()))
        if isinstance(size, list | tuple):
            size = size[-1 if "width" in axis else 0]
        return int(size) if isinstance(size, int) else IMAGE_SIZE

    def _channels(self, parameter: str) -> int:
        is_image = "pixel" in parameter or "image" in parameter
        return self.channels[0 if is_image else 1]

    def _length(self, parameter: str) -> int:
        """The length of a row of a parameter."""
        if (
            re.search(r"values_|past_(values|time|observed)", parameter)
            and "pixel" not in parameter
        ):
            lags = self.setting(LAGS) or [0]
            return int(self.setting(PAST_STEPS) or 4 * LENGTH) + int(max(lags))
        if re.search(r"future", parameter):
            return int(self.setting(FUTURE_STEPS) or LENGTH)
        if re.search(r"features|_mel", parameter):
            positions = self.setting(SPECTRUM_FRAMES)
            return 2 * positions if isinstance(positions, int) else FRAMES
        if re.search(r"input_values|audio|waveform", parameter):
            return SAMPLES
        return LENGTH

    def _by_expression(self, axis: str, parameter: str) -> int | None:
        """The extent of an axis that is a setting, or a formula of settings."""
        try:
            return self._evaluate(ast.parse(axis, mode="eval").body, parameter)
        except SyntaxError:
            return None

    def _evaluate(self, node: ast.expr, parameter: str) -> int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = (self._evaluate(side, parameter) for side in (node.left, node.right))
            return None if not left or not right else _OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.Name):
            value = self.setting(node.id)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            return self._by_words(node.id.lower(), parameter) if parameter else None
        return None
