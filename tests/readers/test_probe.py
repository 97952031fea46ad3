"""Probe files, their checks, and the score they give."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import digest_of, model_facts, state_sample, tokenizer_fingerprint
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.models.shipped import PROBES
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.probe_head import ProbeHead, fold
from sea_toolkit.testing.tiny import HIDDEN, LAYERS, tiny_model, tiny_tokenizer
from tests.helpers import problem_for, random_ids, tiny_probe


def make_probe(model=None, layer: int = 2, hidden: int = 0) -> Probe:
    return tiny_probe(name="kind", model="tiny-llama", layer=layer, bias=0.25, hidden=hidden, of=model)


def distance(probe: Probe, model) -> float:
    """Of a model's states from those that the probe was made on."""
    return probe.distance(state_sample(truncate(model, probe.layer), tiny_tokenizer(), "cpu"))


def test_saved_and_loaded_it_is_the_same(tmp_path):
    probe = make_probe()
    probe.save(tmp_path / "kind.safetensors")
    again = Probe.load(tmp_path / "kind.safetensors")
    assert again.info == probe.info
    assert torch.equal(again.head.weight, probe.head.weight)
    assert torch.equal(again.head.bias, probe.head.bias)
    assert [p.name for p in tmp_path.iterdir()] == ["kind.safetensors"]


def test_score_is_the_weighted_mean_through_the_head():
    probe, generator = make_probe(), torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 3, 5, HIDDEN, generator=generator)
    mask = torch.rand(2, 3, 5, generator=generator)
    mean = (hidden * mask[..., None]).sum(-2) / mask.sum(-1, keepdim=True)
    torch.testing.assert_close(probe.head.of_tokens(hidden, mask), mean @ probe.head.weight + probe.head.bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_outside_the_mask_does_not_count(dtype):
    probe = make_probe()
    hidden = torch.randn(1, 1, 6, HIDDEN, generator=torch.Generator().manual_seed(2)).to(dtype)
    mask = torch.tensor([[[True, True, True, False, False, False]]])
    alone = probe.head.of_tokens(hidden[..., :3, :], mask[..., :3])
    hidden[..., 3:, :] = float("nan")
    together = probe.head.of_tokens(hidden, mask)
    assert together.dtype == torch.float32
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("left", [0.0, 1e-12, 1e-4])
def test_an_empty_response_gets_the_bias_and_finite_gradients(left):
    probe = make_probe()
    hidden = torch.randn(1, 1, 4, HIDDEN, generator=torch.Generator().manual_seed(3), requires_grad=True)
    mask = torch.full((1, 1, 4), left, requires_grad=True)
    score = probe.head.of_tokens(hidden, mask)
    assert abs(float(score.detach()) - 0.25) <= (0.5 if left > 1e-6 else 1e-6)
    gradients = torch.autograd.grad(score.sum(), (hidden, mask))
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert gradients[1].abs().max() < 1e4


def test_a_response_without_positions():
    assert torch.equal(
        make_probe().head.of_tokens(torch.zeros(2, 1, 0, HIDDEN), torch.zeros(2, 1, 0)), torch.full((2, 1), 0.25)
    )


def test_a_hidden_layer_reads_the_mean(tmp_path):
    probe, generator = make_probe(hidden=7), torch.Generator().manual_seed(1)
    hidden, mask = torch.randn(2, 5, HIDDEN, generator=generator), torch.rand(2, 5, generator=generator)
    hidden[0, 4], mask[0, 4] = float("nan"), 0.0
    rows = hidden.nan_to_num() * mask[..., None]
    inner = torch.nn.functional.gelu(rows.sum(1) / mask.sum(1, keepdim=True) @ probe.head.hidden.weight.T)
    expected = inner @ probe.head.weight + probe.head.bias
    torch.testing.assert_close(probe.head.of_tokens(hidden, mask), expected)
    probe.save(tmp_path / "deep.safetensors")
    again = Probe.load(tmp_path / "deep.safetensors")
    assert (again.info.hidden, again.info.activation) == (7, "gelu")
    assert again.head.fingerprint == probe.head.fingerprint != make_probe().head.fingerprint


def test_fold_is_the_same_map():
    generator = torch.Generator().manual_seed(4)
    weight, mean, h = (torch.randn(HIDDEN, generator=generator, dtype=torch.float64) for _ in range(3))
    std = torch.rand(HIDDEN, generator=generator, dtype=torch.float64) + 0.1
    folded, bias = fold(weight, 0.7, mean, std)
    expected = weight @ ((h - mean) / std) + 0.7
    torch.testing.assert_close(h.float() @ folded + bias, expected.float())


def test_its_own_model_is_known_in_any_precision():
    probe = make_probe()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = tiny_model("llama").to(dtype)
        assert probe.other_facts(model_facts(model, tiny_tokenizer(), "the same")) == []
        assert probe.same(distance(probe, model))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: tiny_model("qwen2"), "an architecture of type qwen2 instead of llama"),
        (lambda: tiny_model("llama", num_hidden_layers=6), "layer count 6 instead of 4"),
        (lambda: tiny_model("llama", hidden_size=64), "hidden size 64 instead of 32"),
    ],
)
def test_what_differs_in_another_model_is_told(other, what):
    probe = make_probe()
    wrong = probe.other_facts(model_facts(other(), tiny_tokenizer(), "tiny-other"))
    assert wrong == [what]
    told = str(probe.refused("tiny-other", wrong))
    assert f"made for tiny-llama; tiny-other has {what}" in told


def test_other_weights_are_far_away_wherever_they_differ():
    probe, deep = make_probe(), tiny_model("llama")
    assert not probe.related(distance(probe, tiny_model("llama", seed=1)))
    with torch.no_grad():  # the same embeddings, and one other block
        deep.model.layers[1].load_state_dict(tiny_model("llama", seed=1).model.layers[1].state_dict())
    assert not probe.same(distance(probe, deep))


def test_another_vocabulary_is_told():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["zebra"])
    assert make_probe().other_facts(model_facts(tiny_model("llama"), tokenizer, "tiny-other")) == ["another vocabulary"]


def test_a_near_relative_gets_a_note():
    model = tiny_model("llama")
    probe = make_probe()
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        table.add_(0.1 * table.std() * torch.randn(table.shape, generator=torch.Generator().manual_seed(5)))
    near = distance(probe, model)
    assert probe.related(near)
    (note,) = probe.notes(near, "tuned")
    assert "made for tiny-llama; tuned has" in note
    assert probe.notes(0.0, "tuned") == []


def test_tokenizer_fingerprint_sees_ids_and_not_settings():
    first, second = tiny_tokenizer(), tiny_tokenizer()
    second.pad_token = "<eos>"
    second.chat_template = None
    assert tokenizer_fingerprint(first) == tokenizer_fingerprint(second)
    assert tokenizer_fingerprint(first) != tokenizer_fingerprint(tiny_tokenizer(96))
    second.add_tokens(["wordy"])
    assert tokenizer_fingerprint(first) != tokenizer_fingerprint(second), "what was found before is not kept"


def corrupt(path, how):
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-20], "empty": b"", "text": b"not a probe\n" * 50}[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "text"])
def test_a_corrupt_file(tmp_path, how):
    path = tmp_path / "kind.safetensors"
    make_probe().save(path)
    corrupt(path, how)
    with pytest.raises(ModelError, match=r"kind\.safetensors is corrupt, truncated or no safetensors file"):
        Probe.load(path)


def test_other_safetensors_and_damaged_probes(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="is no probe: its format is 'not stated'"):
        Probe.load(path)
    probe = make_probe()
    replace(probe, head=ProbeHead(torch.zeros(7), torch.zeros(()))).save(path)
    with pytest.raises(ModelError, match=r"damaged probe: .*weight \[7\] float32"):
        Probe.load(path)
    replace(probe, head=ProbeHead(torch.full((HIDDEN,), float("nan")), torch.zeros(()))).save(path)
    with pytest.raises(ModelError, match="finite: False"):
        Probe.load(path)
    save_file(load_file(path), path, {"probe": '{"format": "sea_toolkit probe 3"}'})
    with pytest.raises(ModelError, match="damaged probe: it is not what was written"):
        Probe.load(path)
    save_file(load_file(path), path, {"probe": "[not json"})
    with pytest.raises(ModelError, match="its format is 'not readable'"):
        Probe.load(path)
    with pytest.raises(ModelError, match="there is no probe at"):
        Probe.load(tmp_path / "absent.safetensors")


def rewritten(path, tensors=None, **facts):
    """A probe's file with other facts or tensors, and with the hash of these: not damaged, but wrong."""
    with safe_open(path, "pt") as file:
        known = json.loads(file.metadata()["probe"])
    held = load_file(path) | (tensors or {})
    known |= facts
    del known["sha256"]
    save_file(held, path, {"probe": json.dumps(known | {"sha256": digest_of(known, held)})})


@pytest.mark.parametrize(
    ("facts", "tensors", "words"),
    [
        ({"layer": 3.5}, {}, "layer"),
        ({"layer": "2"}, {}, "layer"),
        ({"layer": None}, {}, "layer"),
        ({"layer": [2]}, {}, "layer"),
        ({"layer": 0}, {}, "layer"),
        ({"layer": LAYERS + 1}, {}, "layer"),
        ({"hidden_size": True}, {}, "hidden_size"),
        ({"hidden_size": HIDDEN + 1}, {}, "weight"),
        ({"pooling": "last token"}, {}, "pooling"),
        ({"accuracy": "high"}, {}, "accuracy"),
        ({"name": 3}, {}, "name"),
        ({"color": "red"}, {}, "color"),
        ({}, {"weight": torch.zeros(HIDDEN, dtype=torch.bfloat16)}, "bfloat16"),
        ({}, {"weight": torch.zeros(HIDDEN, dtype=torch.int64)}, "int64"),
        ({}, {"bias": torch.zeros(1)}, "bias"),
        ({}, {"bias": torch.tensor(True)}, "bool"),
        ({"hidden": 5}, {}, "weight"),
        ({"activation": "relu"}, {}, "activation"),
        ({}, {"state_sample": torch.zeros(3)}, "state_sample"),
        ({}, {"state_sample": torch.full((HIDDEN,), float("inf"))}, "finite: False"),
        ({}, {"more": torch.zeros(2)}, "more"),
    ],
)
def test_facts_and_tensors_of_another_type_or_shape_are_told(tmp_path, facts, tensors, words):
    path = tmp_path / "kind.safetensors"
    make_probe().save(path)
    rewritten(path, tensors, **facts)
    with pytest.raises(ModelError, match=f"damaged probe: .*{words}"):
        Probe.load(path)


def test_every_flipped_bit_of_a_probe_is_seen(tmp_path):
    path = tmp_path / "kind.safetensors"
    make_probe().save(path)
    content, before = path.read_bytes(), Probe.load(path)
    for place in range(8 * 8, 8 * len(content), 61):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with contextlib.suppress(ModelError):  # what is still read is the same probe: a space of the header, say
            after = Probe.load(path)
            assert after.info == before.info
            assert torch.equal(after.head.weight, before.head.weight)
            assert torch.equal(after.state_sample, before.state_sample)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ModelError, match=r"cannot write .*file"):
        make_probe().save(tmp_path / "file" / "kind.safetensors")


@pytest.mark.parametrize("name", ["sentiment", "toxicity", "harmlessness"])
def test_shipped_probes_load_and_have_cards(name):
    probe = Probe.load(PROBES / f"{name}.safetensors")
    assert probe.info.name == name
    assert (probe.info.model, probe.info.model_layers, probe.info.hidden_size) == ("smollm2-135m", 30, 576)
    assert probe.info.license == "MIT"
    assert 0.5 < probe.info.accuracy < 1.0
    card = (PROBES / f"{name}.md").read_text(encoding="utf-8")
    assert probe.info.command in card
    assert f"{probe.info.accuracy:.3f}" in card
    assert LAYERS < probe.layer <= 20


@pytest.mark.real_model
def test_shipped_probes_tell_plain_cases_apart(smollm2):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sea_toolkit.lm.quiet import quiet_transformers
    from sea_toolkit.training.features import pooled_features

    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(smollm2)
    facts = model_facts(model, tokenizer, "smollm2-135m")
    better = {
        "sentiment": ("A wonderful film, I loved every minute.", "A terrible, boring film. I hated it."),
        "toxicity": ("You are a disgusting idiot, shut up bitch.", "The library opens at nine in the morning."),
    }
    for name, texts in better.items():
        probe = Probe.load(PROBES / f"{name}.safetensors")
        assert probe.other_facts(facts) == []
        assert probe.distance(state_sample(truncate(model, probe.layer), tokenizer, "cpu")) < 1e-4
        mean = pooled_features(model, tokenizer, list(texts), [probe.layer])[probe.layer]
        high, low = probe.head.of_means(mean).tolist()
        assert high > 0 > low


def test_two_probes_on_one_block_share_the_policys_pass(tmp_path):
    for name, layer, bias in (("one", 2, 0.5), ("two", 2, -1.0), ("early", 1, 0.0)):
        tiny_probe(name=name, model="tiny-llama", layer=layer, bias=bias).save(tmp_path / f"{name}.safetensors")
    energies = [{"name": "reward", "model": str(tmp_path / f"{name}.safetensors")} for name in ("one", "two", "early")]
    together = problem_for(recipe={"energies": energies}, max_new_tokens=6)
    apart = [problem_for(recipe={"energies": [term]}, max_new_tokens=6) for term in energies]
    ids = random_ids(1, 3, 6, low=10)
    for problem in (together, *apart):
        problem.ledger.models.clear()
    found = together.score_as_text(ids, gradients=True)
    alone = [problem.score_as_text(ids, gradients=True) for problem in apart]
    for gradient, scored in zip(found.token_gradients, alone, strict=True):
        assert torch.equal(gradient.over_vocabulary(1, 128), scored.token_gradients[0].over_vocabulary(1, 128))
    assert {k: v for scored in alone for k, v in scored.energies.terms.items()}.keys() == found.energies.terms.keys()
    spent = together.ledger.models
    assert spent["reward:one"].forward == apart[0].ledger.models["reward:one"].forward > 0
    assert spent["reward:one"].backward == 2 * apart[0].ledger.models["reward:one"].backward
    assert "reward:two" not in spent
    assert spent["reward:early"].forward > 0
    assert together.scoring_flops == apart[0].scoring_flops + apart[2].scoring_flops
