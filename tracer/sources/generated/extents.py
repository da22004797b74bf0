"""Numbers for the axes that documentation names: settings, or what such axes usually have."""

import ast
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from modelexport.tracer.sources.generated.conventions import (
    BATCH_WORD,
    BIN_WORDS,
    CHANNELS_WORD,
    CLIP_FRAMES,
    FRAMES_WORD,
    IMAGE_GRID,
    IMAGE_SIDE,
    IMAGES,
    LENGTH_WORDS,
    MEDIA_WORDS,
    MERGED_SIDE,
    PATCH_WORDS,
    SIDE_WORDS,
    SPECTRUM,
    SPECTRUM_BINS,
    WAVEFORM,
    axis_words,
    channels_read,
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
_OF_LISTS: dict[str, Callable[[Any], int]] = {"max": max, "sum": sum, "len": len}
"""Functions of a setting that is a list, in formulas."""

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
        image: Whether the other axes are those of an image.
        overrides: Extents that a run of the model has asked for, by axis name.
    """

    config: Any
    channels: tuple[int, int] = (3, 1)
    batch: int = BATCH
    grid: bool = False
    image: bool = False
    overrides: dict[str, int] = field(default_factory=dict)

    def of(self, axis: str, parameter: str) -> int | None:
        """The extent of an axis of a parameter; None where nothing says it."""
        axis = axis.strip("`* ").replace("config.", "")
        if axis in self.overrides:
            return self.overrides[axis]
        name = axis.strip("()")
        extent = self._by_words(name, parameter) if name.isidentifier() else None
        return extent if extent is not None else self.by_expression(axis, parameter)

    @property
    def patches(self) -> int:
        """Patches along each side of an image in a grid."""
        return MERGED_PATCHES * int(self.setting(MERGED_SIDE) or 2)

    @property
    def frames(self) -> int:
        """Frames of a video."""
        return self._setting_or_none(CLIP_FRAMES) or VIDEO_FRAMES

    def setting(self, name: str) -> Any:
        """A setting of the configuration or of the first part that has it; else None."""
        return find_setting(self.config, name)

    def length(self, parameter: str) -> int:
        """The length of a row of a parameter: of a waveform, of a spectrum, of anything else."""
        if WAVEFORM in parameter:
            return SAMPLES
        return FRAMES if SPECTRUM in parameter else LENGTH

    def by_expression(self, text: str, parameter: str = "") -> int | None:
        """The number that a setting has, or a formula of settings; None where it is none.

        Args:
            text: The formula, in Python's syntax.
            parameter: The parameter to which the axes belong that the formula names; empty where
                it names settings alone.
        """
        try:
            return self._evaluate(ast.parse(text.strip(), mode="eval").body, parameter)
        except SyntaxError:
            return None

    def _by_words(self, axis: str, parameter: str) -> int | None:  # noqa: PLR0911 - one for a kind
        """The extent of an axis by the words in its name."""
        words = axis_words(axis.lower())
        if BATCH_WORD in words:
            return self.batch
        if words & MEDIA_WORDS:
            return 1
        if any(kind <= words for kind in PATCH_WORDS):
            return self.patches**2
        if words <= SIDE_WORDS:
            return self._image_side(is_width="width" in words)
        if CHANNELS_WORD in words:
            return self.channels[0 if self.image or IMAGES in parameter else 1]
        if any(kind <= words for kind in BIN_WORDS):
            return self._setting_or_none(axis) or self._setting_or_none(SPECTRUM_BINS) or _BINS
        if FRAMES_WORD in words and (self.image or IMAGES in parameter):
            return self.frames
        if words & LENGTH_WORDS:
            row = self.patches**2 if self.grid else self.length(parameter)
            return self._setting_or_none(axis) or row
        return None

    def _setting_or_none(self, name: str) -> int | None:
        """A setting that is a number; else None."""
        value = self.setting(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _image_side(self, *, is_width: bool) -> int:
        size = self.setting(IMAGE_SIDE)
        if isinstance(size, dict):
            size = size.get("height") or next(iter(size.values()))
        if isinstance(size, list | tuple):
            size = size[-1 if is_width else 0]
        return int(size) if isinstance(size, int) else IMAGE_SIZE

    def _evaluate(self, node: ast.expr, parameter: str) -> int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = (self._evaluate(side, parameter) for side in (node.left, node.right))
            return None if not left or not right else _OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
            function, argument = _OF_LISTS.get(node.func.id), node.args[0]
            values = self.setting(argument.id) if isinstance(argument, ast.Name) else None
            return function(values) if function and isinstance(values, list | tuple) else None
        if isinstance(node, ast.Name):
            if (value := self._setting_or_none(node.id)) is not None:
                return value
            return self._by_words(node.id, parameter) if parameter else None
        return None


def model_extents(model: nn.Module, parameters: Iterable[str]) -> Extents:
    """The extents of axes of a model.

    Args:
        model: The model, with a configuration.
        parameters: The names of its inputs.
    """
    images = channels_read(model, nn.Conv2d, nn.Conv3d) or 3
    channels = images, channels_read(model, nn.Conv1d) or 1
    has_grid = any(name.endswith(IMAGE_GRID) for name in parameters)
    return Extents(model.config, channels, grid=has_grid)
