"""Inputs of a model that comes without any: from documentation, configuration and errors."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.tracer.sources.generated.conventions import channels_read
from modelexport.tracer.sources.generated.documented import documented_parameters
from modelexport.tracer.sources.generated.extents import Extents
from modelexport.tracer.sources.generated.trials import runnable_inputs
from modelexport.tracer.sources.hugging_face import loading_problem

CONFIG = {"extent": 6, "depth": 2, "vocab_size": 40, "image_token_id": 39}


class Documented(nn.Module):
    """A model that documents its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(**CONFIG)

    def forward(self, states: torch.Tensor, kept_mask: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, sequence_length, extent*depth**2)`):
                What it reads.
            kept_mask (`torch.BoolTensor` of shape `(batch_size, sequence_length)`):
                Where.
        """
        assert kept_mask.dtype is torch.bool
        return states.masked_fill(~kept_mask[..., None], 0)


class Unwilling(Documented):
    """It refuses all inputs."""

    def forward(self, states: torch.Tensor, count: int) -> torch.Tensor:  # noqa: ARG002
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, extent)`): What it reads.
            count (`int`): How often.
        """
        raise ValueError("never")


class Merging(Documented):
    """It wants as many placeholders among its tokens as there are features."""

    def forward(
        self, input_ids: torch.Tensor, pixel_values: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute."""
        rows = pixel_values.shape[0]  # type: ignore[union-attr]
        places = int((input_ids == self.config.image_token_id).sum())
        if places != rows * 5:
            raise ValueError(
                f"Image features and image tokens do not match, tokens: {places}, "
                f"features: {rows * 5}"
            )
        return input_ids * 2


class Deep(Documented):
    """It reads frames."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Compute."""
        batch, frames, channels, height, width = pixel_values.shape
        return pixel_values.reshape(batch * frames, channels, height, width)


def test_shapes_are_read_from_documentation() -> None:
    """Names of axes are usual ones, settings, or formulas of these."""
    parameters = documented_parameters(Documented())
    extents = Extents(SimpleNamespace(**CONFIG))
    axes = parameters["states"].axes[0]
    expected = CONFIG["extent"] * CONFIG["depth"] ** 2
    assert extents.of(axes[-1], "states") == expected
    inputs = runnable_inputs(Documented(), {})
    assert inputs["states"].shape[:2] == inputs["kept_mask"].shape
    assert inputs["states"].shape[-1] == expected


@pytest.mark.parametrize("model", [Merging(), Deep()], ids=["placeholders", "frames"])
def test_inputs_follow_what_the_model_complains_about(model: nn.Module) -> None:
    """What is None where it failed is made; placeholders and axes are added."""
    base: dict[str, Any] = {"input_ids": torch.arange(10).reshape(2, 5)}
    inputs = runnable_inputs(model, base if isinstance(model, Merging) else {})
    assert torch.isfinite(model(**inputs)).all()


class Long(Documented):
    """It wants rows of one length, a multiple of eight, and a place for each of its features."""

    def forward(
        self, states: torch.Tensor, states_mask: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, sequence_length, extent)`): Input.
            states_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Where.
            places (`torch.BoolTensor` of shape `(batch_size, 3)`): Where its features go.
        """
        if states.shape[1] % 8:
            raise ValueError(f"length {states.shape[1]} is not a multiple of 8")
        result = torch.zeros(*places.shape, states.shape[-1])
        result[places] = (states * states_mask[..., None])[:, :5].flatten(0, 1)
        return result


def test_extents_are_changed_until_they_agree() -> None:
    """Lengths become multiples, masks as long as what they mask, places as many as features."""
    model = Long()
    inputs = runnable_inputs(model, {})
    assert inputs["states"].shape[1] % 8 == 0
    assert inputs["states_mask"].shape == inputs["states"].shape[:2]
    assert int(inputs["places"].sum()) == 5 * len(inputs["states"])


def test_what_the_user_describes_stays_and_the_rest_is_made() -> None:
    """A mask goes with the tokens that are given; no change to an error touches these."""
    given = torch.ones(3, 16, CONFIG["extent"])
    inputs = runnable_inputs(Long(), {"states": given}, ["states"])
    assert inputs["states"] is given
    assert inputs["states_mask"].shape == given.shape[:2]
    with pytest.raises(InputsError, match="multiple of 8"):
        runnable_inputs(Long(), {"states": given[:, :3]}, ["states"])


def test_inputs_that_cannot_be_made_are_named_with_their_shapes() -> None:
    """The message names each missing input, its likely shape, and the option."""
    with pytest.raises(InputsError, match=r"--input-shape states=2x6 --input-shape count") as error:
        runnable_inputs(Unwilling(), {})
    assert "required positional argument" in str(error.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("The repository contains custom code ... `trust_remote_code=True`", "--trust-remote-code"),
        ("Weights only load failed. set weights_only=False", "safetensors"),
    ],
)
def test_safety_is_never_advised_away(text: str, named: str) -> None:
    """The message names our option or a safe way, and not what libraries advise."""
    message = loading_problem(ValueError(text))
    assert named in message
    assert "weights_only=False" not in message
    assert "trust_remote_code=True" not in message


class Flat(Documented):
    """It reads rows of vectors that fit its layer, and nothing of more axes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, 2, 4, extent)`): What it reads.
        """
        _, _, _ = states.shape
        return self.layer(states)


class LookingUp(Documented):
    """It looks its tokens up in a table that is smaller than the vocabulary it states."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 4)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Compute."""
        return self.table(input_ids)


class Striding(Documented):
    """Half of the numbers of each row go to a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(CONFIG["extent"], 3)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, 4, extent*depth**2)`): What it reads.
        """
        return self.layer(states[..., ::2])


@pytest.mark.parametrize("model", [Flat(), LookingUp(), Striding()], ids=lambda m: type(m).__name__)
def test_inputs_fit_what_the_modules_of_the_model_hold(model: nn.Module) -> None:
    """Axes are joined, numbers stay in the table, and extents pass through strides."""
    inputs = runnable_inputs(
        model,
        {"input_ids": torch.arange(24).reshape(2, 12)} if isinstance(model, LookingUp) else {},
    )
    assert torch.isfinite(model(**inputs)).all()


@pytest.mark.parametrize("channels", [1, 5])
def test_the_first_convolution_shows_the_channels(channels: int) -> None:
    """No setting is asked for them."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Conv2d(channels, 4, 1), nn.Conv2d(4, 7, 1))
    assert channels_read(model, nn.Conv2d, nn.Conv3d) == channels
    assert channels_read(model, nn.Conv1d) is None
    extents = Extents(SimpleNamespace(**CONFIG), (channels, 1))
    assert extents.of("num_channels", "pixel_values") == channels


class Painting(Documented):
    """What it calls a mask is an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)

    def forward(self, image_mask: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            image_mask (`torch.Tensor` of shape `(batch_size, num_channels, height, width)`): Image.
        """
        if image_mask.shape[1] != self.layer.in_channels:
            raise ValueError(f"{self.layer.in_channels} channels")
        return self.layer(image_mask)


def test_a_mask_that_a_convolution_reads_is_floating() -> None:
    """The error says that its type is not that of the weights."""
    assert runnable_inputs(Painting(), {})["image_mask"].is_floating_point()


class Negative(Documented):
    """The first number of each row is a place in a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 4)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, 400, extent)`): What it reads.
        """
        return self.table(states[..., 0].long())


def test_numbers_become_positive_where_a_table_has_no_row_for_others() -> None:
    """Inputs of the same shape with other signs are tried, too."""
    assert int((runnable_inputs(Negative(), {})["states"] < 0).sum()) == 0
