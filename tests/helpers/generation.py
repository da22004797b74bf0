"""Generating text with the files of a model in onnxruntime, as their manifest connects them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin, PreTrainedTokenizerBase

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import Connection, read_part_manifest
from tests.helpers.traced import open_session

TOKENS, *_, MASK = PreTrainedTokenizerBase.model_input_names
POSITIONS = "position_ids"
Array = np.ndarray[Any, Any]


def generated_by_transformers(model: nn.Module, inputs: Mapping[str, Any], count: int) -> Array:
    """The tokens that transformers generates greedily after the prompt; no token ends the text."""
    start = model.config.decoder_start_token_id if f"decoder_{TOKENS}" in inputs else None
    model.generation_config = GenerationConfig(
        max_new_tokens=count, do_sample=False, pad_token_id=0, decoder_start_token_id=start
    )
    tokens = GenerationMixin.generate(model, **inputs)
    return tokens[:, -count:].numpy()


def generated_by_parts(folder: Path, inputs: Mapping[str, torch.Tensor], count: int) -> Array:
    """The tokens that the files of a folder generate; the manifest says what feeds what.

    Args:
        folder: The folder of parts.
        inputs: What the model as a whole gets; the decoder's tokens among them for an encoder.
        count: Number of tokens.
    """
    parts = _Parts(folder)
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    if PartRole.ENCODER in parts.sessions:
        parts.run(PartRole.ENCODER, arrays)
    if f"decoder_{TOKENS}" in arrays:
        encoder_inputs = {f"encoder_{MASK}": arrays[MASK]}

        def step(role: PartRole, tokens: Array, _: Array) -> Array:
            return parts.run(role, {TOKENS: tokens, **encoder_inputs})

        return _greedy(step, arrays[f"decoder_{TOKENS}"], arrays[MASK], count)
    return _greedy(
        lambda role, tokens, mask: parts.run(role, _decoder_inputs(tokens, mask)),
        arrays[TOKENS],
        arrays[MASK],
        count,
    )


def generated_by_one_file(path: Path, inputs: Mapping[str, torch.Tensor], count: int) -> Array:
    """The tokens that a decoder with past generates, which begins with an empty cache.

    Args:
        path: The file.
        inputs: Tokens and their mask.
        count: Number of tokens.
    """
    session = open_session(path)
    values = {value.name: value for value in session.get_inputs()}
    caches = [name for name in values if name.startswith("past_key_values.")]
    outputs = [value.name for value in session.get_outputs()]
    extents = {"batch_size": len(inputs[TOKENS]), "past_sequence_length": 0}
    past = {
        name: np.zeros([extents.get(e, e) for e in values[name].shape], np.float32)
        for name in caches
    }

    def step(_: PartRole, tokens: Array, mask: Array) -> Array:
        own = _decoder_inputs(tokens, mask)
        feeds = past | {name: own[name] for name in own.keys() & values.keys()}
        results = dict(zip(outputs, session.run(None, feeds), strict=True))
        past.update({n: results[n.replace("past_key_values", "present")] for n in caches})
        return results[outputs[0]]

    return _greedy(step, inputs[TOKENS].numpy(), inputs[MASK].numpy(), count)


def _with_rank(array: Array, shape: Sequence[int | str]) -> Array:
    """The array; repeated along the first axis where a file has one more: text has one position."""
    if array.ndim == len(shape):
        return array
    return np.broadcast_to(array, (int(shape[0]), *array.shape))


def _decoder_inputs(tokens: Array, mask: Array) -> dict[str, Array]:
    """Tokens, the mask of all tokens so far, and the positions as transformers counts them."""
    positions = np.clip(mask.cumsum(1) - 1, 0, None)[:, -tokens.shape[1] :]
    return {TOKENS: tokens, MASK: mask, POSITIONS: positions}


def _greedy(
    step: Callable[[PartRole, Array, Array], Array], tokens: Array, mask: Array, count: int
) -> Array:
    """The most likely tokens.

    Args:
        step: Takes the part to run, the tokens and the mask; returns the logits.
        tokens: The prompt.
        mask: Its mask.
        count: Number of tokens.
    """
    generated: list[Array] = []
    for number in range(count):
        role = PartRole.DECODER_WITH_PAST if number else PartRole.DECODER
        tokens = step(role, tokens, mask)[:, -1].argmax(-1)[:, None]
        mask = np.concatenate([mask, np.ones_like(tokens)], 1)
        generated.append(tokens)
    return np.concatenate(generated, 1)


class _Parts:
    """The files of a folder of parts, and what they gave last."""

    def __init__(self, folder: Path) -> None:
        manifest = read_part_manifest(folder)
        self.sessions = {part.role: open_session(folder / part.onnx) for part in manifest.parts}
        self._connections = manifest.connections
        self._results: dict[tuple[PartRole, str], Array] = {}

    def run(self, role: PartRole, own: Mapping[str, Array]) -> Array:
        """Run one part on its own inputs, and on what other parts or its last run gave.

        Returns:
            Its first output.
        """
        session = self.sessions[role]
        feeds = {
            value.name: self._fed(role, value.name)
            if self._sources(role, value.name)
            else _with_rank(own[value.name], value.shape)
            for value in session.get_inputs()
        }
        names = [value.name for value in session.get_outputs()]
        arrays = session.run(None, feeds)
        self._results |= {(role, name): a for name, a in zip(names, arrays, strict=True)}
        return self._results[role, names[0]]

    def _sources(self, role: PartRole, name: str) -> list[Connection]:
        return [c for c in self._connections if (c.target, c.input) == (role, name)]

    def _fed(self, role: PartRole, name: str) -> Array:
        """What feeds an input: the last run of the same part, else that of another."""
        sources = sorted(self._sources(role, name), key=lambda c: c.source != role)
        return next(
            self._results[c.source, c.output]
            for c in sources
            if (c.source, c.output) in self._results
        )
