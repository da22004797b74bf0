"""Hub ids without a network: from the cache, or one sentence; never minutes of attempts."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from modelexport.errors import SourceError
from modelexport.tracer import load
from modelexport.tracer.sources.hub_models import reachable_source
from tests.helpers.commands import Run

ID = "an-owner/a-model"
COMMIT = "0" * 40


class _Hub:
    """A server in the place of the hub, and an empty cache.

    Attributes:
        cache: The folder of the cache.
        url: Its address.
        answer: Status and headers of each answer; None to close the connection instead.
        requests: The paths that were asked for.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.answer: tuple[int, dict[str, str]] | None = None
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.requests.append(self.path)
                if hub.answer is None:
                    self.close_connection = True
                    return
                self.send_response(hub.answer[0])
                for key, value in hub.answer[1].items():
                    self.send_header(key, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fill_cache(self, folder: Path) -> Path:
        """Put a folder into the cache, as if it had been downloaded; gives its place there."""
        repository = self.cache / f"models--{ID.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        return Path(shutil.copytree(folder, repository / "snapshots" / COMMIT))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_Hub]:
    """A hub that closes each connection, as a network does that lets nothing through."""
    hub = _Hub(tmp_path / "cache")
    constants = huggingface_hub.constants
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub.cache))
    thread = Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
    thread.join()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of a small model, without a tokenizer."""
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "vocab_size": 40}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model("llama", **sizes, **heads, **tokens)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_that_is_nowhere_is_one_sentence(hub: _Hub, run: Run, tmp_path: Path) -> None:
    """It names the model, why the hub is no help, and what to do, after one attempt."""
    ran = run("trace", ID, tmp_path / "m.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"modelexport: {ID}: it is neither a folder here nor in the cache")
    assert f"{hub.url} cannot be reached (" in ran.err
    assert ran.err.endswith("Give the folder of a model.\n")
    assert len(hub.requests) == 1


def test_an_adapter_names_its_base_model(hub: _Hub, tmp_path: Path, run: Run) -> None:
    """And the option that gives it."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": ID}))
    ran = run("trace", adapter, tmp_path / "m.onnx")
    assert ran.code == 2
    assert ran.err.startswith(f"modelexport: {adapter}: its base model {ID} is neither a folder")
    assert ran.err.endswith("Give its folder with --base-model FOLDER.\n")
    assert len(hub.requests) == 1


def test_a_cached_model_is_loaded(hub: _Hub, model: Path) -> None:
    """Files that a model need not have, as tokenizers, are not asked for."""
    hub.fill_cache(model)
    loaded = load(ID)
    assert loaded.origin.name == ID
    assert sum(p.numel() for p in loaded.model.parameters()) > 0
    assert len(hub.requests) == 1


def test_offline(hub: _Hub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE: nobody is asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE forbids to ask the hub"):
        reachable_source(ID, "it", "")
    folder = hub.fill_cache(model)
    assert reachable_source(ID, "it", "") == str(folder)
    assert hub.requests == []


def test_folders_are_not_asked_for(hub: _Hub, model: Path) -> None:
    """Nor what is no hub id: transformers says why."""
    assert reachable_source(str(model), "it", "") == str(model)
    assert reachable_source("no hub id", "it", "") == "no hub id"
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "has_model"),
    [
        (200, {"x-repo-commit": COMMIT, "etag": '"1"', "content-length": "1"}, True),
        (200, {"content-length": "1"}, False),
        (401, {"x-error-code": "RepoNotFound"}, False),
        (503, {}, False),
    ],
    ids=["the hub", "another server", "no such model", "the hub is down"],
)
def test_a_hub_that_answers(
    hub: _Hub, model: Path, status: int, headers: dict[str, str], has_model: bool
) -> None:
    """The cache is used where the hub does not give the model; else transformers asks and says."""
    hub.answer = status, headers
    assert reachable_source(ID, "it", "") == ID
    folder = hub.fill_cache(model)
    assert reachable_source(ID, "it", "") == (ID if has_model else str(folder))
    assert len(hub.requests) == 2
