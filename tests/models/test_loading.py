"""From a name to a policy: devices, dtypes, damaged folders; and what a manifest tells apart."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy, pick_device, pick_dtype
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.runs.manifest import differences, weights_fingerprint
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import hub


@pytest.fixture
def folder(tmp_path):
    tiny_model().save_pretrained(tmp_path / "m")
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_becomes_a_policy(folder, dtype):
    policy = load_policy(PolicySpec(model=str(folder), dtype=dtype, device="cpu", template="plain"), ModelFinder(hub()))
    assert policy.dtype == getattr(torch, dtype)
    assert policy.template == "plain"
    assert policy.name == str(folder)
    expected = tiny_model().to(policy.dtype).state_dict()
    assert all(torch.equal(w, expected[k]) for k, w in policy.model.state_dict().items())


def test_a_device_that_is_not_there():
    assert pick_device("cpu").type == "cpu"
    for name in ("cuda:77", "nonsense"):
        with pytest.raises(RecipeError, match=f"device '{name}' cannot be used"):
            pick_device(name)


def test_the_fastest_dtype(monkeypatch):
    assert pick_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert pick_dtype("auto", torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert pick_dtype("auto", torch.device("cpu")) == torch.bfloat16
    assert pick_dtype("auto", torch.device("cuda")) == torch.bfloat16


def damage(folder, how):
    weights = folder / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-500])
    elif how == "garbage":
        weights.write_bytes(b"\xff" * 2000)
    elif how == "no weights":
        weights.unlink()
    elif how == "pickle":
        torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
        weights.unlink()
    elif how == "no tokenizer":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    elif how == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    "how", ["truncated", "garbage", "no weights", "pickle", "no tokenizer", "no config", "broken config"]
)
def test_damaged_folders_are_told(folder, how):
    damage(folder, how)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(PolicySpec(model=str(folder), device="cpu"), ModelFinder(hub()))


def test_missing_weights_are_named(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_policy(PolicySpec(model=str(folder), device="cpu"), ModelFinder(hub()))


def test_a_file_and_nothing_are_no_policy(folder, tmp_path):
    with pytest.raises(ModelError, match="is a file"):
        load_policy(PolicySpec(model=str(folder / "config.json"), device="cpu"), ModelFinder(hub()))
    with pytest.raises(ModelError, match="there is no model at"):
        load_policy(PolicySpec(model=str(tmp_path / "none"), device="cpu"), ModelFinder(hub()))
    with pytest.raises(ModelError, match="sentiment is a reward model"):
        load_policy(PolicySpec(model="sentiment", device="cpu"), ModelFinder(hub()))


def test_fingerprints_tell_models_apart():
    model = tiny_model()
    found = weights_fingerprint(model)
    assert found == weights_fingerprint(tiny_model())
    assert found != weights_fingerprint(tiny_model(seed=1))
    assert found != weights_fingerprint(tiny_model("mistral"))
    tuned = copy.deepcopy(model)
    with torch.no_grad():
        tuned.model.layers[2].mlp.up_proj.weight += 1e-4
    assert found != weights_fingerprint(tuned)
    scaled = tiny_model(rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    assert found != weights_fingerprint(scaled)


def test_where_a_model_lies_is_no_difference(folder):
    other = folder.parent / "copy"
    shutil.copytree(folder, other)
    one, two = (load_policy(PolicySpec(model=str(f), device="cpu"), ModelFinder(hub())) for f in (folder, other))
    assert weights_fingerprint(one.model) == weights_fingerprint(two.model)


def test_differences_are_told_line_by_line():
    then = {"a": 1, "plugins": {"x": {"version": "1"}, "gone": {"version": "2"}}, "same": [1]}
    now = {"a": 2, "plugins": {"x": {"version": "1"}, "new": {"version": "3"}}, "same": [1]}
    assert differences(then, now) == [
        "a: 1 then, 2 now",
        "plugins.gone: {'version': '2'} then, absent now",
        "plugins.new: absent then, {'version': '3'} now",
    ]
    assert differences(then, then) == []


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_way_attention_is_computed_can_be_chosen(folder, attention):
    policy = load_policy(PolicySpec(model=str(folder), device="cpu", attention=attention), hub())
    assert policy.model.config._attn_implementation == attention


def test_attention_that_is_not_installed_is_told(folder):
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(PolicySpec(model=str(folder), device="cpu", attention="flash_attention_2"), hub())
