"""The seam between the core and an energy: what is taken, and how a slip is answered."""

from __future__ import annotations

import functools

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.problem.energy import as_bound, as_energy
from sea_toolkit.testing import tiny_model, tiny_policy
from tests.helpers import hub

OWNER = r"energy 'mine' \(plugin 'my-plugin' of temporary 0\)"


def length(response, *, scale: float = 1.0):
    return scale * response.expected_length()


def plugin_of(name, thing):
    class Plugin:
        @sea.hookimpl
        def sea_register_energies(self, register):
            register(name, thing)

    return Plugin()


def run(thing, **more):
    plugins = hub()
    with plugins.temporarily(plugin_of("mine", thing), name="my-plugin"):
        recipe = {
            "energies": [{"name": "reference"}, {"name": "mine", "weight": 2.0}],
            "sampler": {"name": "tilted", "chains": 2, "steps": 2},
        }
        settings = {"recipe": recipe, "max_new_tokens": 6} | more
        return sea.align(["hello there", "the rain"], policy=tiny_policy(), hub=plugins, **settings)


def test_a_function_and_a_bind_that_returns_one_are_energies():
    class Bound:
        def bind(self, context):
            return functools.partial(length, scale=3.0)

    class Text:
        def bind(self, context):
            return lambda prompts, texts: [float(len(text)) for text in texts]

    assert as_bound(Bound().bind(None), "x").energy is not None
    text = as_bound(Text().bind(None), "x")
    assert text.energy is None
    assert text.score_text(["p"], ["abc"]) == [3.0]
    assert run(Bound)[0].terms["mine"][1] > 0


def test_an_object_with_attributes_is_refused_with_the_way_out():
    class Bound:
        def __init__(self):
            self.scorer = len  # a helper that happens to be called so

        def score_text(self, prompts, texts):
            return [float(self.scorer(text)) for text in texts]

    class Chars:
        """Characters."""

        def bind(self, context):
            return Bound()

    with pytest.raises(
        sea.PluginError, match=r"energy 'mine' \(plugin 'my-plugin' of temporary 0\): bind returned a Bound"
    ) as caught:
        run(Chars, recipe={"energies": [{"name": "mine"}], "sampler": {"name": "best-of-n", "chains": 2, "steps": 1}})
    assert "BoundEnergy(energy=" in caught.value.hint


def test_a_misspelt_field_is_an_error_of_the_plugin():
    class Typo(sea.Energy):
        def bind(self, context):
            return sea.BoundEnergy(energy=length, is_rewards=True)

    with pytest.raises(sea.PluginError, match=r"energy 'mine' .*my-plugin.*unexpected keyword argument 'is_rewards'"):
        run(Typo)
    with pytest.raises(TypeError, match="needs `energy`, `score_text` or both"):
        sea.BoundEnergy(is_reward=True)


def test_a_plain_class_cannot_set_what_only_an_energy_has():
    class Plain:
        joint = True

        def bind(self, context):
            return length

    with pytest.raises(
        sea.PluginError, match=r"Plain sets joint, which only an Energy has.*\n.*class Plain\(sea_toolkit.Energy\)"
    ):
        run(Plain)
    with pytest.raises(sea.PluginError, match="int has no bind"):
        as_energy(3, "energy 'three'")


def test_a_failing_bind_names_the_plugin():
    class Broken(sea.Energy):
        def bind(self, context):
            return 1 / 0

    with pytest.raises(
        sea.PluginError,
        match=r"'mine' \(plugin 'my-plugin' of temporary 0\) failed in bind: ZeroDivisionError: .*energy.py, line",
    ):
        run(Broken)


def reward_model(seed, announced=True):
    """A language model whose sixth logit is the reward."""

    class MyReward(sea.Energy):
        """A reward model of my own."""

        def bind(self, context):
            model = tiny_model("llama", seed=seed)
            if announced:
                context.use_model("reward:my-rm", model)
            table = model.get_input_embeddings().weight.detach()

            def energy(response):
                rows = response.embed(table)
                value = model(inputs_embeds=rows.flatten(0, 1)).logits[..., 5].unflatten(0, rows.shape[:2])
                return -(value * response.content).sum(-1)

            return sea.BoundEnergy(energy=energy, is_reward=True, warnings=["only an approximation"])

    return MyReward


def test_a_reward_model_of_a_third_party_is_counted_named_and_kept(tmp_path):
    result = run(reward_model(1), out=tmp_path / "run", checkpoint_every=1)[0]
    assert set(result.rewards) == {"mine"}
    assert "only an approximation" in result.notes
    counted = result.ledger["models"]["reward:my-rm"]
    assert counted["forward"] > 0
    assert counted["backward"] > 0
    assert result.ledger["samples_per_prompt"] < sum(m["flops"] for m in result.ledger["models"].values())
    plugins = hub()
    other = plugins.temporarily(plugin_of("mine", reward_model(2)), name="my-plugin")
    with other, pytest.raises(sea.SeaError, match=r"models\.mine, reward:my-rm: \w+… then, \w+… now"):
        sea.resume(tmp_path / "run", hub=plugins, policy=tiny_policy(), steps=3)
    with plugins.temporarily(plugin_of("mine", reward_model(1)), name="my-plugin"):
        again = sea.resume(tmp_path / "run", hub=plugins, policy=tiny_policy(), steps=3)
    assert again[0].steps == 3
    assert again[0].candidates[0].energy <= result.candidates[0].energy


def test_its_cost_is_part_of_a_sample():
    plugins, policy, length = hub(), tiny_policy(), 6
    with plugins.temporarily(plugin_of("mine", reward_model(1)), name="my-plugin"):
        from tests.helpers import problem_for

        problem = problem_for(
            recipe={"energies": [{"name": "reference"}, {"name": "mine"}]}, plugins=plugins, max_new_tokens=length
        )
    model = tiny_model("llama", seed=1)
    weights = sum(p.numel() for p in model.parameters()) - model.get_input_embeddings().weight.numel()
    if model.config.tie_word_embeddings:
        weights += model.lm_head.weight.numel()
    drawing = 2.0 * (policy.body_parameters + policy.head_parameters)
    assert problem.sample_flops == length * (drawing + 2.0 * weights)


def test_a_constraint_keeps_the_warnings_of_its_energy():
    energies = [{"name": "reference"}, {"name": "length", "target": 4}]
    recipe = {
        "energies": energies,
        "constraints": [{"name": "mine", "min": 2.0}],
        "sampler": {"name": "tilted", "steps": 1},
    }
    result = run(reward_model(1), recipe=recipe)[0]
    assert "only an approximation" in result.notes


def test_announcing_a_model_freezes_it():
    trained = torch.nn.Linear(3, 3).train()

    class Frozen(sea.Energy):
        def bind(self, context):
            assert context.use_model("reward:frozen", trained) is trained
            return length

    run(Frozen)
    assert not trained.training
    assert not any(p.requires_grad for p in trained.parameters())
