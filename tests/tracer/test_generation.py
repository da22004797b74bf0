"""Decoders with a cache, and the parts of encoder-decoder models: the files generate the text."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from agreement.judging import Verdict, judge
from fixtures_gen.eager import run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import derive_truth
from modelexport.errors import ForeignRecordError, InputsError, SourceError
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.export_config import TraceOptions
from modelexport.hierarchy.part_manifest import read_part_manifest
from modelexport.hierarchy.record import read_record
from modelexport.pipeline import trace_parts
from modelexport.rewriter import annotate
from modelexport.tracer import load, model_parts
from modelexport.tracer.sources.generated_inputs import generate_inputs
from modelexport.tracer.sources.generation.step_inputs import merged_steps
from modelexport.tracer.sources.signature import bind_inputs
from tests.helpers.commands import Run
from tests.helpers.generating_models import MODELS, WIDE, GeneratingModels
from tests.helpers.generation import (
    MASK,
    TOKENS,
    generated_by_one_file,
    generated_by_parts,
    generated_by_transformers,
)

COUNT = 6
"""Tokens that are generated."""


def prompt(model: nn.Module) -> dict[str, torch.Tensor]:
    """Tokens with padding on the left, and for an encoder the decoder's first ones."""
    inputs = generate_inputs(model, {TOKENS, MASK, f"decoder_{TOKENS}"})
    inputs[MASK] = inputs[MASK].flip(1)
    if f"decoder_{TOKENS}" in inputs:
        inputs[f"decoder_{TOKENS}"][:, 0] = model.config.decoder_start_token_id
    assert not inputs[MASK].all()
    return inputs


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_generate_what_the_model_generates(
    generating: GeneratingModels, name: str
) -> None:
    """Run as the manifest connects them, in onnxruntime, they give the same tokens."""
    model = load(str(generating.model(name))).model
    inputs = prompt(model)
    expected = generated_by_transformers(model, inputs, COUNT)
    assert expected.shape == (len(inputs[TOKENS]), COUNT)
    generated = generated_by_parts(generating.parts(name), inputs, COUNT)
    assert generated.tolist() == expected.tolist()


def test_one_file_reads_the_prompt_and_each_token(generating: GeneratingModels) -> None:
    """It begins with an empty cache; names are those that runtimes know."""
    path = generating.one_file("llama")
    model = load(str(generating.model("llama"))).model
    inputs = prompt(model)
    expected = generated_by_transformers(model, inputs, COUNT)
    assert generated_by_one_file(path, inputs, COUNT).tolist() == expected.tolist()
    graph = onnx.load(path).graph
    leaves = [f"{n}.{kind}" for n in range(WIDE["num_hidden_layers"]) for kind in ("key", "value")]
    inputs_of_cache = [v.name for v in graph.input if "." in v.name]
    assert inputs_of_cache == [f"past_key_values.{leaf}" for leaf in leaves]
    assert [v.name for v in graph.output][1:] == [f"present.{leaf}" for leaf in leaves]
    probes = {probe.name for probe in read_record(path.with_suffix(".trace.json")).probe.inputs}
    assert probes == {value.name for value in graph.input}


def test_the_manifest_lists_what_is_in_the_folder(generating: GeneratingModels) -> None:
    """Files, inputs and outputs; each cache feeds the next run; the records have one tree."""
    folder = generating.parts("t5")
    manifest = read_part_manifest(folder)
    assert [part.role for part in manifest.parts] == list(PartRole)
    whole = load(str(generating.model("t5"))).model
    for part in manifest.parts:
        graph = onnx.load(folder / part.onnx).graph
        assert [value.name for value in part.inputs] == [value.name for value in graph.input]
        assert [value.name for value in part.outputs] == [value.name for value in graph.output]
        record = read_record(folder / part.record)
        assert {m.path for m in record.modules} == {
            path for path, _ in whole.named_modules(remove_duplicate=False)
        }
    fed = {(c.target, c.input): c for c in manifest.connections if c.source != c.target}
    step = manifest.parts[-1]
    past = [value.name for value in step.inputs if value.name.startswith("past_key_values.")]
    assert past
    for name in past:
        wire = fed[step.role, name]
        assert wire.source == PartRole.DECODER
        assert wire.output == name.replace("past_key_values", "present")
    again = {c.input: c.output for c in manifest.connections if c.source == c.target}
    own = {value.name for value in step.outputs}
    assert again == {n: fed[step.role, n].output for n in past if fed[step.role, n].output in own}
    assert again


def parts_with_files(
    generating: GeneratingModels, name: str
) -> Iterator[tuple[nn.Module, Any, Path]]:
    loaded = load(str(generating.model(name)))
    for part in model_parts(loaded.model, loaded.inputs):
        path = generating.parts(name) / f"{part.role}_model.onnx"
        with part.forward_of(loaded.model):
            yield loaded.model, part, path


@pytest.mark.parametrize("name", MODELS)
def test_no_part_has_a_wrong_tag(generating: GeneratingModels, name: str) -> None:
    """By eager values; and each decoder is right by the other decoder's record, too."""
    judged = 0
    for model, part, path in parts_with_files(generating, name):
        call = bind_inputs(model, part.inputs)
        feeds = {name: tensor.numpy() for name, tensor in call.tensors.items()}
        read = {value.name for value in onnx.load(path).graph.input}
        observed = observe(path, {n: array for n, array in feeds.items() if n in read})
        true = derive_truth(observed, run_eagerly(model, call.arguments()[1])).modules
        records = [path.with_suffix(".trace.json")]
        if part.role != PartRole.ENCODER:
            other = {PartRole.DECODER, PartRole.DECODER_WITH_PAST} - {part.role}
            records.append(path.with_name(f"{other.pop()}_model.trace.json"))
        for record in map(read_record, records):
            report = annotate(path, record, None)
            for decision in report.decisions:
                if decision.key in true:
                    verdict = judge(
                        true[decision.key], decision.module, decision.covers, record.tree
                    )
                    assert verdict is not Verdict.WRONG, (part.role, decision)
                    judged += 1
    assert judged > 100


def refusal(folder: Path, file: PartRole, record: PartRole) -> str:
    """What is said of the file of one part with the record of another."""
    known = read_record(folder / f"{record}_model.trace.json")
    with pytest.raises(ForeignRecordError) as refused:
        annotate(folder / f"{file}_model.onnx", known, None)
    return str(refused.value)


def test_the_record_of_another_part_is_refused(generating: GeneratingModels) -> None:
    """An encoder is no decoder, though both are parts of one model with one embedding."""
    folder = generating.parts("t5")
    pairs = [p for p in itertools.permutations(PartRole, 2) if PartRole.ENCODER in p]
    sentences = [refusal(folder, file, record) for file, record in pairs]
    assert len(sentences) == 4
    assert all("the record is of another part of the model" in text for text in sentences)


def test_models_without_a_cache_are_refused(generating: GeneratingModels, tmp_path: Path) -> None:
    """The sentences say what to do."""
    t5, llama = str(generating.model("t5")), str(generating.model("llama"))
    with pytest.raises(SourceError, match="give --parts"):
        load(t5, with_past=True)
    with pytest.raises(SourceError, match="does not generate text"):
        load(llama, task="feature-extraction", with_past=True)
    with pytest.raises(SourceError, match="needs the weights"):
        load(llama, weights=False, with_past=True)
    with pytest.raises(SourceError, match="needs the weights"):
        trace_parts(llama, tmp_path / "parts", options=TraceOptions(weights=False))
    model = load(llama).model
    with pytest.raises(InputsError, match="cannot generate"):
        model_parts(model, {TOKENS: torch.tensor([[10**6]])})


def test_a_step_of_several_tokens() -> None:
    """What has one token is joined, what grows is the last, the rest is the first."""
    first = {"tokens": torch.zeros(2, 5), "mask": torch.ones(2, 5), "flag": True}
    steps = [
        {"tokens": torch.full((2, 1), n), "mask": torch.ones(2, 5 + n), "flag": True}
        for n in (1, 2)
    ]
    merged, axes = merged_steps(first, steps)
    assert merged["tokens"].tolist() == [[1, 2], [1, 2]]
    assert axes == {"tokens": 1}
    assert merged["mask"].shape == (2, 7)
    assert merged["flag"] is True


def test_the_command_writes_a_folder(
    generating: GeneratingModels, run: Run, tmp_path: Path
) -> None:
    """Without --force a second run is refused; what is for one file is refused, too."""
    source, folder = str(generating.model("llama")), tmp_path / "parts"
    line = ("export", source, folder, "--parts", "--exporter", "torchscript", "--strict")
    assert run(*line).code == 0
    again = run(*line)
    assert (again.code, "--force" in again.err) == (2, True)
    assert run(*line, "--force", "--record", tmp_path / "r.json").code == 2
    assert run("validate", folder, "--strict").code == 0
