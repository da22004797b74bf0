"""What documentation says about inputs: of the model, and of the library for all of its models."""

import re
from types import SimpleNamespace

import torch
from torch import nn

from modelexport.tracer.sources.generated import conventions
from modelexport.tracer.sources.generated.conventions import axis_words, common_documentation
from modelexport.tracer.sources.generated.documented import documented_parameters
from modelexport.tracer.sources.generated.trials import runnable_inputs


def test_every_word_about_names_is_one_that_the_library_documents_for_all_models() -> None:
    """Inputs and axes stand in its list of inputs, settings in that of settings."""
    inputs, settings = common_documentation("ModelArgs"), common_documentation("ConfigArgs")
    modalities = conventions.MAIN_INPUTS
    named = {conventions.POSITIONS, *modalities.values(), conventions.SPECTRUM}
    assert named <= set(inputs)
    assert [name for name in inputs if conventions.MASK_WORD in name]
    assert [name for name in inputs if name.endswith(f"_{conventions.IMAGE_GRID}")]
    assert {
        conventions.VOCABULARY, conventions.IMAGE_SIDE, conventions.MERGED_SIDE,
        conventions.CLIP_FRAMES, conventions.SPECTRUM_BINS,
    } <= set(settings)  # fmt: skip
    kinds = [kind for kind in modalities if f"{kind}{conventions.PLACEHOLDER_ENDS[0]}" in settings]
    placeholders = {f"{kind}{end}" for kind in kinds for end in conventions.PLACEHOLDER_ENDS}
    assert len(kinds) > 1
    assert placeholders <= set(settings)
    computed = conventions.COMPUTED.pattern.split("|")
    assert [p for p in computed if not any(re.search(p, name) for name in inputs)] == []
    words = {word for entry in inputs.values() for word in axis_words(str(entry.get("shape")))}
    documented = words | {
        word for name, entry in settings.items()
        for word in re.findall(r"[a-z]+", f"{name} {entry['description']}".lower())
    }  # fmt: skip
    used = {
        conventions.BATCH_WORD, conventions.CHANNELS_WORD, conventions.FRAMES_WORD,
        *conventions.MEDIA_WORDS, *conventions.SIDE_WORDS, *conventions.LENGTH_WORDS,
        *(word for kind in (*conventions.PATCH_WORDS, *conventions.BIN_WORDS) for word in kind),
    }  # fmt: skip
    assert used - documented == set()


def test_what_a_model_does_not_document_the_library_does() -> None:
    """The end of a name tells the kind of an input."""

    class Silent(nn.Module):
        def forward(self, first_input_values: torch.Tensor, grid_thw: torch.Tensor) -> None:
            raise NotImplementedError

    inputs = common_documentation("ModelArgs")
    parameters = documented_parameters(Silent())
    for name, common in (("first_input_values", "input_values"), ("grid_thw", "image_grid_thw")):
        (axes,) = parameters[name].axes
        assert f"({', '.join(axes)})" in inputs[common]["shape"]


class Series(nn.Module):
    """It documents the length of its series as a formula of settings, one of them a list."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(extent=6, lags=[1, 5, 2])

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Compute.

        Args:
            states (`torch.FloatTensor` of shape `(batch_size, sequence_length)`):
                Past values.

                The sequence length here is equal to `extent` + `max(config.lags)`.
        """
        assert states.shape[1] == self.config.extent + max(self.config.lags)
        return states


def test_a_length_may_be_a_formula_in_the_text() -> None:
    """It is computed from the settings."""
    assert runnable_inputs(Series(), {})["states"].dim() == 2
