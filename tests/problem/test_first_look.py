"""Mistakes of an energy that would go unnoticed are noted in the run; texts are asked about once."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.testing import ConformanceError, check_energy
from sea_toolkit.testing.tiny import tiny_policy
from sea_toolkit.util.conversation import Prompt
from tests.helpers import hub, warmth

LIKED = list(range(30, 60))


def notes(energies, **more):
    """Of a run on two prompts, in which answers end at different lengths."""
    settings = {"sampler": "tilted", "chains": 3, "steps": 2, "max_new_tokens": 10, "seed": 1, **more}
    results = sea.align(["a", "the rain"], policy=tiny_policy(), hub=hub(), energies=energies, **settings)
    return [note for note in results[0].notes if any(repr(label) in note for label in energies)]


def test_a_term_whose_gradient_is_cut_off_is_named_once_and_others_are_not():
    found = notes({
        "item": lambda response: torch.tensor([[float(v) for v in row] for row in warmth(response).tolist()]),
        "detached": lambda response: warmth(response).detach(),
        "ids": lambda response: (response.ids == 30).float().mul(response.content).sum(-1).detach(),
        "good": warmth,
        "length": lambda response: response.expected_length(),
    })  # fmt: skip
    cut = [note for note in found if "no gradient reaches" in note]
    assert [note.split("'")[1] for note in cut] == ["item", "detached", "ids"]
    assert all("only takes part in the choice" in note for note in cut)


def test_a_sampler_that_asks_for_no_gradient_says_nothing_of_it():
    assert notes({"detached": lambda response: warmth(response).detach()}, sampler="best-of-n") == []


def test_a_term_that_reads_what_stands_after_the_end_is_named():
    def careless(response):
        return response.probability(LIKED).sum((-2, -1)) * 1.0 + (response.ids == 33).float().sum(-1)

    def weighed(response):
        return (response.probability(LIKED).sum(-1) * response.content).sum(-1)

    found = notes({"careless": careless, "weighed": weighed, "of the text": lambda texts: [len(t) for t in texts]})
    assert [note.split("'")[1] for note in found if "after the end" in note] == ["careless"]


def test_each_text_is_asked_about_once_in_a_run():
    asked = []

    def scorer(prompts, texts):
        asked.extend(zip(prompts, texts, strict=True))
        return [float(len(text)) for text in texts]

    settings = {"sampler": "suffix-mh", "chains": 4, "steps": 12, "max_new_tokens": 3}
    (result,) = sea.align(["a"], policy=tiny_policy(), hub=hub(), reward={"x": (0.1, scorer)}, **settings)
    assert len(asked) == len(set(asked))
    assert {text for _, text in asked} >= {c.text for c in result.candidates}
    again = sea.align("a", policy=tiny_policy(), hub=hub(), reward={"x": (0.1, scorer)}, **settings)
    assert (again.response, again.energy) == (result.response, result.energy)
    assert len(asked) == 2 * len(set(asked)), "another run asks again"


def test_a_conversation_is_another_prompt_than_its_last_turn_and_counted_compute_is_not_saved():
    ledger, seen = Ledger(), []
    cache = TextCache(ledger)

    def score(prompts, texts):
        seen.append(len(texts))
        return torch.arange(1.0, len(texts) + 1)

    talk = Prompt.of([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}])
    assert cache.ask([Prompt.of("hi"), talk, Prompt.of("hi")], ["x"] * 3, score).tolist() == [1.0, 2.0, 1.0]
    assert cache.ask([talk], ["x"], score).tolist() == [2.0]

    def costly(prompts, texts):
        ledger.forward("policy", 1, 1.0)
        return score(prompts, texts)

    cache.ask([talk], ["y"], costly)
    cache.ask([talk], ["y"], costly)
    assert seen == [2, 1, 1]


class Layer(sea.Energy):
    """A layer made in `bind`, with weights that are read (or forgotten)."""

    differentiable = True

    def __init__(self, *, reads: bool = True):
        self.reads = reads

    def bind(self, context):
        table = context.policy.table
        layer = torch.nn.Linear(table.shape[1], 1)
        if self.reads:
            layer.load_state_dict({"weight": torch.ones(1, table.shape[1]), "bias": torch.zeros(1)})
        context.use_model("reward:layer", layer.to(table.device, table.dtype))
        return lambda response: (layer(response.embed(table))[..., 0].float() * response.content).sum(-1)


def test_a_layer_that_is_made_in_bind_is_no_fault_unless_its_weights_are_left_to_chance():
    before = torch.get_rng_state()
    assert "global random state" in check_energy(Layer)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(
        ConformanceError, match=r"drawn from torch's global random stream in bind(.|\n)*load the weights"
    ):
        check_energy(Layer, reads=False)


def test_a_run_leaves_torchs_global_stream_where_it_was():
    before = torch.get_rng_state()
    notes({"layer": Layer()})
    assert torch.equal(torch.get_rng_state(), before)


def test_modes_of_torch_that_an_energy_switches_are_put_back_and_noted_once():
    def rude(response):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return response.expected_length().detach()

    found = notes({"rude": rude, "good": warmth}, sampler={"name": "sea", "check_every": 1})
    assert len([note for note in found if "switched gradients or the default dtype" in note]) == 1
    assert not [note for note in found if "'good'" in note]
