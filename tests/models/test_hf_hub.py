"""Hugging Face ids: from the cache without a network, and what is said where they cannot be had."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants, errors

import sea_toolkit as sea
from sea_toolkit.errors import ModelError, SeaError
from sea_toolkit.models import hf_hub
from sea_toolkit.models.reading import read_model, read_tokenizer
from sea_toolkit.models.resolve import resolve_model
from tests.helpers import hub
from tests.models.folders import loaded, save_policy

COMMIT = "a" * 40


@pytest.fixture
def hf_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    import huggingface_hub._snapshot_download as module

    real = module.snapshot_download
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda *a, **k: real(*a, cache_dir=str(tmp_path / "hf"), **k)
    )
    return tmp_path / "hf"


def cached(hf_cache, name):
    """The snapshot folder of an id, as huggingface_hub lays it out."""
    root = hf_cache / f"models--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    return root / "snapshots" / COMMIT


def test_a_cached_model_needs_no_network(hf_cache):
    save_policy(cached(hf_cache, "someone/tiny"))
    policy = loaded("someone/tiny")
    assert policy.name == "someone/tiny"
    assert policy.model.name_or_path == "someone/tiny"


def test_what_is_wrong_with_a_cached_model_is_not_blamed_on_the_network(hf_cache):
    folder = save_policy(cached(hf_cache, "someone/tiny"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"the weights of someone/tiny \(.*\) are not whole") as caught:
        read_model("causal", "someone/tiny", "someone/tiny", torch.float32)
    assert "network" not in str(caught.value)


def test_a_model_that_is_nowhere_is_a_matter_of_name_or_network(hf_cache):
    with pytest.raises(
        ModelError, match=r"someone/none is not in the Hugging Face cache[\s\S]*the name and the network"
    ):
        read_tokenizer("someone/none", "someone/none")


def response(status):
    return SimpleNamespace(status_code=status, headers={}, request=None, text="")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (lambda: errors.GatedRepoError("gated", response=response(403)), "is gated[\\s\\S]*hf auth login"),
        (lambda: errors.RepositoryNotFoundError("404", response=response(404)), "the Hugging Face hub has no model"),
        (lambda: errors.HfHubHTTPError("503", response=response(503)), "the hub was not reached: 503"),
        (lambda: errors.RevisionNotFoundError("404", response=response(404)), "someone/x has no revision 'v1'"),
        (lambda: ConnectionError("no route"), "the hub was not reached: no route"),
        (lambda: errors.HFValidationError("bad"), "is no name of a model"),
        (lambda: OSError(28, "No space left on device"), "cannot be written to the Hugging Face cache"),
    ],
)
def test_each_failure_of_the_hub_has_its_own_words(monkeypatch, failure, words):
    def fail(*args, **kwargs):
        raise failure()

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=words):
        hf_hub.fetch_facts("someone/x@v1", code=False)


@pytest.mark.parametrize(
    ("name", "revision"), [("someone/x", None), ("someone/x@v1.0", "v1.0"), (f"a/b@{COMMIT}", COMMIT)]
)
def test_an_id_may_pin_a_revision(monkeypatch, tmp_path, name, revision):
    asked = []

    def fetch(repository, **options):
        asked.append((repository, options["revision"]))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert resolve_model(name, hub(), "policy") == name
    hf_hub.fetch_facts(name, code=False)
    hf_hub.fetch_weights(name, ["model.safetensors"])
    assert asked == [(name.partition("@")[0], revision)] * 2


def test_what_is_no_id_is_none():
    for text in ("a", "a/b/c", "/a", "a/", "a/b@", "a/b@c@d", "@a/b", "a b/c", ""):
        assert not hf_hub.is_hub_id(text), text


def test_a_hub_that_cannot_be_reached_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for place in ("huggingface_hub.constants.ENDPOINT", "huggingface_hub.hf_api.ENDPOINT"):
        monkeypatch.setattr(place, "http://127.0.0.1:9", raising=False)
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(ModelError, match="the hub was not reached"):
        hf_hub.fetch_facts("someone/x", code=False)
    assert not waits


@pytest.mark.parametrize("code", [False, True])
def test_python_files_come_along_only_if_they_may_run(monkeypatch, code, tmp_path):
    asked = []

    def fetch(repository, *, revision, allow_patterns, ignore_patterns):
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    hf_hub.fetch_facts("someone/x", code=code)
    assert ("*.py" in asked) is code
    assert not any("safetensors" in pattern or "bin" in pattern for pattern in asked)


def test_the_commit_stands_in_the_manifest_and_a_run_does_not_go_on_with_another(hf_cache, tmp_path):
    """The branch has moved while the run stood still; its weights may be the same."""
    folder = save_policy(cached(hf_cache, "someone/tiny"))
    settings = {"energies": {"length": {"weight": 1.0, "target": 4}}, "max_new_tokens": 4, "out": tmp_path / "run"}
    recipe = {"policy": {"model": "someone/tiny", "revision": "main", "device": "cpu", "dtype": "float32"}}
    sea.align("the rain", recipe=recipe, steps=2, sampler="suffix-mh", **settings)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["identity"]["models"]["policy, commit"] == COMMIT
    assert manifest["policy"] == "someone/tiny@main"
    folder.rename(folder.with_name("b" * 40))
    (hf_cache / "models--someone--tiny" / "refs" / "main").write_text("b" * 40)
    with pytest.raises(SeaError, match=r"models\.policy, commit: aaaaaaaaaaaa.* then, bbbbbbbbbbbb.* now"):
        sea.resume(tmp_path / "run", steps=4)


def test_a_catalog_model_of_the_hub_is_linked_from_the_shared_cache(tmp_path, monkeypatch):
    """No second copy, and the bytes are told as they come."""
    shared, told = tmp_path / "snapshots" / COMMIT, []
    shared.mkdir(parents=True)
    (shared / "model.safetensors").write_bytes(b"x" * 100)

    def fetch(repository, *, revision, allow_patterns, tqdm_class):
        files = tqdm_class(desc="Fetching files", total=1)
        files.update(1)
        bar = tqdm_class(desc="Reconstructing", total=0, initial=0, unit="B", unit_scale=True)
        bar.total = 100
        for _ in range(2):
            bar.update(50)
            bar.set_postfix_str("", refresh=False)
        bar.set_description("complete")
        return str(shared)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *a, **k: SimpleNamespace(sha=COMMIT))
    assert hf_hub.snapshot("someone/tiny", tmp_path / "own", 100, lambda *told_: told.append(told_)) == COMMIT
    assert (tmp_path / "own" / "model.safetensors").samefile(shared / "model.safetensors")
    assert [done for done, _, _ in told] == [0, 50, 100]
