"""A model that an energy runs without announcing it: no run counts it or compares it on resume, so it is refused."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import PluginError
from sea_toolkit.testing.tiny import tiny_model, tiny_policy

SETTINGS = {"sampler": "best-of-n", "chains": 2, "budget": 4, "max_new_tokens": 6}


class Reward(sea.Energy):
    """The first logit at the last position, of a model of its own."""

    def __init__(self, announces=True, reads_text=False, policy=False):
        self.announces, self.reads_text, self.policy = announces, reads_text, policy

    def bind(self, context):
        model = context.policy.model if self.policy else tiny_model("llama", seed=9)
        if self.announces:
            context.use_model("mine", model)

        def energy(response):
            ids = response.ids.flatten(0, 1)
            return -model(input_ids=ids).logits[:, -1, 0].unflatten(0, response.shape[:2])

        def score_text(prompts, texts):
            return -model(input_ids=torch.tensor([[4, 5]] * len(texts))).logits[:, -1, 0].detach()

        return sea.BoundEnergy(score_text=score_text) if self.reads_text else sea.BoundEnergy(energy=energy)


def align(energy):
    return sea.align("a", policy=tiny_policy(), energies={"mine": (1.0, energy)}, **SETTINGS)


def models_told(energy):
    """The notes about models that nobody announced."""
    return [note for note in align(energy).notes if "runs a model" in note]


@pytest.mark.parametrize("reads_text", [False, True])
def test_a_model_that_was_not_announced_is_refused_in_a_run(reads_text):
    with pytest.raises(PluginError, match=r"energy 'mine': it runs a model \(.*\) that it has not announced") as error:
        align(Reward(announces=False, reads_text=reads_text))
    assert "context.use_model(name, model)" in str(error.value)
    assert not models_told(Reward(reads_text=reads_text))


def test_the_policy_is_no_hidden_model():
    assert not models_told(Reward(announces=False, policy=True))


def test_a_function_has_no_context_so_its_model_is_told():
    reward = tiny_model("llama", seed=9)

    def mine(response):
        return -reward(input_ids=response.ids.flatten(0, 1)).logits[:, -1, 0].unflatten(0, response.shape[:2])

    (note,) = models_told(mine)
    assert note.startswith("mine runs a model (Linear, LlamaRMSNorm) that the budget does not count")
