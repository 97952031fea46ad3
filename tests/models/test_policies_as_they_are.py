"""Policies as people have them: adapters in the recipe and as objects, quantized on the way, spread over devices."""

from __future__ import annotations

import importlib.util

import accelerate
import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor
from transformers import AutoModelForSequenceClassification

import sea_toolkit as sea
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.fingerprint import weights_fingerprint
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.load_options import LoadOptions, at
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.helpers import hub, random_ids, tiny_policy
from tests.models.folders import loaded, save_classifier, save_policy
from tests.models.test_adapters import save_adapter

peft = pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_policy(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory):
    """A folder with an adapter, and PEFT's own model of the two."""
    folder = tmp_path_factory.mktemp("lora")
    return folder, save_adapter(base, folder, task_type="CAUSAL_LM")


def spec(base, **settings):
    return PolicySpec(**{"model": str(base), "device": "cpu", "dtype": "float32", **settings})


def load(base, **settings):
    return load_policy(spec(base, **settings), ModelFinder(hub()))


def answer(policy):
    energies = {"length": {"weight": 1.0, "target": 6}}
    return sea.align("the rain", policy=policy, energies=energies, max_new_tokens=8, budget=6, seed=1).response


def test_an_adapters_folder_the_recipes_key_the_object_and_the_merged_model_say_the_same(base, adapted):
    folder, wrapped = adapted
    named = load(base, adapter=str(folder))
    assert named.name == f"{base} + {folder}"
    assert named.model.name_or_path != str(base)  # an energy that asks the base is not given this one
    texts = [answer(policy) for policy in (loaded(folder), named, sea.Policy(wrapped, tiny_tokenizer()))]
    merged = peft.PeftModel.from_pretrained(tiny_model(), str(folder)).merge_and_unload()
    texts.append(answer(sea.Policy(merged, tiny_tokenizer())))
    assert len(set(texts)) == 1
    assert texts[0] != answer(load(base))


def test_the_recipes_base_takes_the_place_of_the_one_that_the_adapter_names(adapted, tmp_path):
    folder, _ = adapted
    other = save_policy(tmp_path / "other", seed=3)
    ids = random_ids(1, 9)
    with torch.no_grad():
        found = load(other, adapter=str(folder)).model(ids).logits
        wrapped = peft.PeftModel.from_pretrained(tiny_model(seed=3), str(folder))
        torch.testing.assert_close(found, wrapped(ids).logits, rtol=1e-4, atol=1e-4)


def test_what_is_no_adapter_is_refused_and_so_is_a_learned_prompt(base):
    with pytest.raises(ModelError, match="holds no adapter"):
        load(base, adapter=str(base))
    model = peft.get_peft_model(tiny_model(), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(ModelError, match=r"a learned prompt \(PROMPT_TUNING\)"):
        sea.Policy(model, tiny_tokenizer())


def test_a_manifest_sees_an_adapters_weights_and_how_much_they_count(adapted):
    model = adapted[1].get_base_model()
    prints = [weights_fingerprint(model)]
    layer = model.model.layers[0].self_attn.q_proj
    layer.scaling["default"] *= 2
    prints.append(weights_fingerprint(model))
    layer.scaling["default"] /= 2
    with torch.no_grad():
        layer.lora_A["default"].weight[0, 0] += 1
        prints.append(weights_fingerprint(model))
        layer.lora_A["default"].weight[0, 0] -= 1
    assert len(set(prints)) == 3


def test_an_adapted_classifier_is_a_reward_as_an_object(tmp_path):
    folder = save_classifier(tmp_path / "classifier", labels=1)
    config = {"task_type": "SEQ_CLS", "modules_to_save": ["score"]}
    wrapped = save_adapter(folder, tmp_path / "lora", AutoModelForSequenceClassification, 1, **config)
    rewards = {"adapted": (1.0, (wrapped, tiny_tokenizer())), "folder": (1.0, str(tmp_path / "lora"))}
    (one,) = sea.score(["the rain"], ["a cat"], reward=rewards, policy=tiny_policy())
    assert one.rewards["adapted"] == pytest.approx(one.rewards["folder"], abs=1e-4)


def test_quantized_weights_have_a_fingerprint():
    """torchao's are a tensor of others, as the one of torch's own tests is."""
    layer = nn.Linear(3, 2, bias=False)
    numbers, scales = torch.arange(6.0).view(2, 3), torch.ones(2, 3)
    found = set()
    for place in (None, numbers, scales):
        if place is not None:
            place[1, 1] += 1
        layer.weight = nn.Parameter(TwoTensor(numbers.clone(), scales.clone()), requires_grad=False)
        found.add(weights_fingerprint(layer))
    assert len(found) == 3


def test_what_is_quantized_or_spread_is_not_moved():
    def refuse(*args):
        raise AssertionError("moved")

    for change in (
        lambda m: setattr(m.config, "quantization_config", {"quant_method": "bitsandbytes"}),
        lambda m: setattr(m, "hf_device_map", {"model": 0, "lm_head": 1}),
    ):
        model = tiny_model()
        change(model)
        model.to = refuse
        assert at(model, torch.device("cpu")) is model


def test_quantized_weights_are_read_onto_their_device():
    gpu = torch.device("cuda", 1)
    asked = LoadOptions(gpu, quantization="bitsandbytes-4bit").arguments(torch.bfloat16, False)
    assert asked["device_map"] == {"": gpu}
    assert asked["quantization_config"].load_in_4bit
    assert asked["quantization_config"].bnb_4bit_compute_dtype == torch.bfloat16
    assert LoadOptions(gpu).arguments(torch.bfloat16, True) == {"device_map": {"": gpu}}
    assert LoadOptions(gpu).arguments(torch.bfloat16, False) == {}
    assert LoadOptions(gpu, device_map="auto").arguments(torch.bfloat16, True) == {"device_map": "auto"}


@pytest.mark.parametrize(
    ("kind", "package"),
    [("bitsandbytes-4bit", "bitsandbytes"), ("bitsandbytes-8bit", "bitsandbytes"), ("torchao-int8", "torchao")],
)
def test_a_quantized_policy_with_an_adapter_beside_its_weights_answers(base, adapted, kind, package):
    if importlib.util.find_spec(package) is None:
        with pytest.raises(ModelError, match=package):
            load(base, quantization=kind)
        return
    whole, small = load(base), load(base, quantization=kind)
    assert weights_fingerprint(small.model) != weights_fingerprint(whole.model)
    both = load(base, quantization=kind, adapter=str(adapted[0]))
    assert len({answer(small), answer(both)}) == 2


def test_a_model_that_accelerate_has_spread_is_read_as_it_is():
    """Its hooks call the model itself; here all on one device."""
    plain, ids = tiny_policy(), random_ids(2, 9)
    spread = sea.Policy(accelerate.dispatch_model(tiny_model(), {"": "cpu"}, force_hooks=True), tiny_tokenizer())
    prefixes = [policy.prefix([[5, 6], [7, 8, 9]]) for policy in (plain, spread)]
    one, other = (
        policy.log_prob(prefix, ids[:, None]) for policy, prefix in zip((plain, spread), prefixes, strict=True)
    )
    torch.testing.assert_close(one, other)


def test_a_device_map_is_taken_and_one_that_offloads_is_refused(base):
    with pytest.raises(RecipeError, match=r"has a device \(cpu\) and a device_map"):
        load(base, device_map="auto")
    parts = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu")
    whole = load(base, device="auto", device_map={**parts, "model.layers": "cpu"})
    assert answer(whole) == answer(load(base))
    with pytest.raises(ModelError, match="does not fit on its devices: 36 of its tensors"):
        load(base, device="auto", device_map={**parts, "model.layers": "disk"})


def test_what_cannot_be_done_to_a_model_is_refused(base):
    with pytest.raises(RecipeError, match=r"policy\.revision is 'v1', and the model is"):
        load(base, revision="v1")
    with pytest.raises(RecipeError, match=r"policy\.quantization is set, and the policy is an object"):
        sea.align("x", policy=tiny_policy(), recipe={"policy": {"quantization": "torchao-int8"}}, reward="sentiment")
