"""Pickled weights to safetensors: whole or not at all, and without running what a pickle says."""

from __future__ import annotations

import json
import os
import subprocess
from types import SimpleNamespace

import pytest
import torch

from sea_toolkit.errors import ModelError
from sea_toolkit.models import pickles
from sea_toolkit.models.pickles import convert_folder
from sea_toolkit.testing.tiny import tiny_model
from tests.cli.commands import invoke
from tests.models.folders import loaded, save_policy


@pytest.fixture(autouse=True)
def without_a_process(request, monkeypatch):
    """The conversion runs here, but in tests marked `process`: another process imports torch for two seconds."""
    if "process" in request.fixturenames:
        return

    def run(command, **more):
        assert command[1:4] == ["-P", "-m", "sea_toolkit.models.pickles"]
        wrong = pickles.main(*command[4:])
        return subprocess.CompletedProcess(command, int(wrong is not None), "", wrong or "")

    monkeypatch.setattr(pickles, "subprocess", SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL))


@pytest.fixture
def process():
    """For tests of what another process does."""


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def pickled(folder, shards=1, arch="llama", **options):
    """A model's folder with its weights in `shards` pickles."""
    save_policy(folder, arch, **options)
    (folder / "model.safetensors").unlink()
    weights = list(tiny_model(arch, **options).state_dict().items())
    if shards == 1:
        torch.save(dict(weights), folder / "pytorch_model.bin")
        return folder
    names = [f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin" for i in range(shards)]
    for i, name in enumerate(names):
        torch.save(dict(weights[i::shards]), folder / name)
    weight_map = {key: names[i % shards] for i, (key, _) in enumerate(weights)}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def test_the_working_folder_is_no_place_for_modules(tmp_path, monkeypatch, process):
    source = pickled(tmp_path / "m")
    (source / "torch.py").write_text("raise SystemExit('the torch of the working folder')")
    monkeypatch.chdir(source)
    assert convert_folder(source, tmp_path / "new") == tmp_path / "new"


@pytest.mark.parametrize(("arch", "shards"), [("llama", 1), ("llama", 3), ("gpt2", 1)])
def test_a_converted_folder_is_the_same_model(tmp_path, arch, shards):
    """GPT-2 ties its head to its embeddings: one memory under two names."""
    source = pickled(tmp_path / "m", shards, arch)
    result = invoke("models", "convert", source, "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    policy, expected = loaded(tmp_path / "new"), tiny_model(arch).state_dict()
    assert all(torch.equal(w, expected[key]) for key, w in policy.model.state_dict().items())
    assert not list((tmp_path / "new").glob("*.bin*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "new"]


def test_an_adapter_is_converted_as_well(tmp_path):
    peft = pytest.importorskip("peft")
    from safetensors.torch import load_file

    base = save_policy(tmp_path / "base")
    model = peft.get_peft_model(tiny_model(), peft.LoraConfig(r=2, target_modules=["q_proj"]))
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(str(tmp_path / "lora"))
    weights = tmp_path / "lora" / "adapter_model.safetensors"
    tensors = load_file(weights)
    torch.save(tensors, weights.with_suffix(".bin"))
    weights.unlink()
    convert_folder(tmp_path / "lora", tmp_path / "new")
    found = load_file(tmp_path / "new" / "adapter_model.safetensors")
    assert all(torch.equal(found[key], weight) for key, weight in tensors.items())
    assert loaded(tmp_path / "new").vocab_size == 128


def test_a_failure_of_the_other_process_is_told(tmp_path, process):
    source = pickled(tmp_path / "m")
    (source / "pytorch_model.bin").write_bytes(b"\x80\x04garbage")
    with pytest.raises(ModelError, match=r"\(pytorch_model\.bin\) cannot be converted: pytorch_model\.bin: "):
        convert_folder(source, tmp_path / "new")


@pytest.mark.parametrize("content", ["code", "numbers", "garbage"])
def test_what_is_more_than_tensors_is_refused_and_does_not_run(tmp_path, content):
    source, ran = pickled(tmp_path / "m"), tmp_path / "ran"
    if content == "garbage":
        (source / "pytorch_model.bin").write_bytes(b"\x80\x04garbage")
    else:
        torch.save({"a": Evil(ran) if content == "code" else [1, 2]}, source / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"\(pytorch_model\.bin\) cannot be converted"):
        convert_folder(source, tmp_path / "new")
    assert not ran.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    source = pickled(tmp_path / "m")
    with pytest.raises(ModelError, match="exists already"):
        convert_folder(source, source)
    (tmp_path / "empty").mkdir()
    assert convert_folder(source, tmp_path / "empty") == tmp_path / "empty"


def test_there_must_be_pickles_and_all_of_them(tmp_path):
    with pytest.raises(ModelError, match="is no folder"):
        convert_folder(tmp_path / "none", tmp_path / "new")
    with pytest.raises(ModelError, match="has no pickled weights"):
        convert_folder(save_policy(tmp_path / "safe"), tmp_path / "new")
    source = pickled(tmp_path / "m", shards=3)
    (source / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(ModelError, match=r"shards are missing in .*: pytorch_model-00002-of-00003\.bin"):
        convert_folder(source, tmp_path / "new")
