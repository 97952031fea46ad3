"""Broken energies."""

from __future__ import annotations

import random

import torch

import sea_toolkit as sea
from sea_toolkit.core.response import survival
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("energy", MUTANTS)
LIKED = list(range(30, 60))


def liked(response):
    """Probability of some tokens, [P, C, T]."""
    return response.probability(LIKED).sum(-1)


class WithContext(sea.Energy):
    """A class whose `bind` keeps the context; its energy is `energy`."""

    def bind(self, context):
        self.context = context
        return self.energy


@mutant("builds")
def positional_option(response, scale=1.0):
    """An option is taken by position."""
    return scale * response.expected_length()


@mutant("builds")
class Anonymous:
    """`bind` returns an object with attributes of its own, of which one may be misspelt."""

    class Bound:
        is_rewards = True

        def __call__(self, response):
            return response.expected_length()

    def bind(self, context):
        return self.Bound()


@mutant("builds")
class Undeclared:
    """A plain class that sets what only an `Energy` can."""

    joint = True

    def bind(self, context):
        return lambda response: response.expected_length()


@mutant("models")
class HiddenModel(sea.Energy):
    """Runs a model that it has not announced."""

    def bind(self, context):
        rows = context.policy.table
        model = torch.nn.Linear(rows.shape[1], 1, bias=False).to(rows.device, rows.dtype).requires_grad_(False)
        return lambda response: (model(response.embed(rows))[..., 0] * response.content).sum(-1)


@mutant("models")
class FreePolicy(WithContext):
    """Runs the policy, and nobody counts it."""

    def energy(self, response):
        policy = self.context.policy
        hidden = policy.backbone.hidden(self.context.prefix, response.embed(policy.table))
        return (hidden.mean(-1) * response.content).sum(-1)


@mutant("shape")
def per_position(response):
    """One number per position instead of one per answer."""
    return liked(response) * response.content


@mutant("shape")
def one_for_all(prompts, texts):
    """Texts alone: the sum of the batch instead of one number per text."""
    return [float(sum(map(len, texts)))]


@mutant("dtype")
def whole_numbers(response):
    """Counts in whole numbers."""
    return (response.content > 0.5).sum(-1)


@mutant("dtype")
def verdicts(prompts, texts):
    """Texts alone: true or false instead of numbers."""
    return torch.tensor(["a" in text for text in texts])


@mutant("finite")
def mean_of_nothing(response):
    """Divides by the length, which is 0 for an empty answer."""
    return (liked(response) * response.content).sum(-1) / response.content.sum(-1)


@mutant("finite")
def length_in_the_denominator(prompts, texts):
    """Texts alone: infinite for an empty text."""
    return [1.0 / len(text) if text else float("inf") for text in texts]


@mutant("repeatable")
def dropout(response):
    """Draws from a random stream of the process."""
    return random.random() * response.expected_length()


@mutant("repeatable")
class Counting(WithContext):
    """Counts its calls, and costs more at each."""

    calls = 0

    def energy(self, response):
        self.calls += 1
        return self.calls * response.expected_length()


@mutant("global random state")
def unused_draw(response):
    """Moves torch's global random stream."""
    order = torch.randperm(response.shape[2])
    return (liked(response) * response.content)[:, :, order].sum(-1)


@mutant("global random state")
def seeding(prompts, texts):
    """Texts alone: seeds torch's global random stream."""
    torch.manual_seed(0)
    return [float(len(text)) for text in texts]


@mutant("gradient")
def half_detached(response):
    """A part of the value is detached from the gradient."""
    value = (liked(response) * response.content).sum(-1)
    return value + value.detach().square()


@mutant("gradient")
def counts_ids(response):
    """Reads the most probable ids, which have no gradient."""
    return ((response.ids >= 30) & (response.ids < 60) & (response.content > 0)).float().sum(-1)


@mutant("gradient")
def root_of_nothing(response):
    """A root whose slope is infinite at 0."""
    return (liked(response) * response.content).sum(-1).sqrt()


@mutant("readings")
def sharpness(response):
    """Reads the weights themselves."""
    return (response.weights.square().sum(-1) * response.content).sum(-1)


@mutant("chains permute")
def ranked_chains(response):
    """The number of the chain enters its energy."""
    return response.expected_length() * torch.arange(1, response.shape[1] + 1)


@mutant("chains alone")
def crowded(response):
    """Chains repel each other, and nobody says so."""
    length = response.expected_length()
    return length - length.mean(1, keepdim=True)


@mutant("chains alone")
class Loner(WithContext):
    """Says that it is joint, and looks at each chain by itself."""

    joint = True

    def energy(self, response):
        return response.expected_length()


@mutant("chains alone")
def rank_of_the_text(prompts, texts):
    """Texts alone: the place of a text among the others."""
    return [float(sum(other < text for other in texts)) for text in texts]


@mutant("prompts permute")
class RankedPrompts(WithContext):
    """The number of the prompt enters its energies."""

    def energy(self, response):
        return response.expected_length() * torch.arange(1, len(self.context.prompts) + 1)[:, None]


@mutant("prompts alone")
def normalized_over_the_batch(response):
    """Divides by the largest value of the batch."""
    value = (liked(response) * response.content).sum(-1) + 1.0
    return value / value.max(0, keepdim=True).values


@mutant("padding")
def mean_over_positions(response):
    """Divides by the number of positions instead of the length."""
    return (liked(response) * response.content).sum(-1) / response.shape[2]


@mutant("padding")
def by_name(response):
    """Counts all candidates, also those without weight."""
    names = response.ids[..., None] if response.candidates is None else response.candidates
    number = (names.shape[-1] if response.candidates is not None else 1) * 0.1
    return response.expected_length() + (number if response.weights.shape[-1] == 8 else 0.0)


@mutant("dead positions")
def after_the_end(response):
    """Counts tokens behind the end of text as well."""
    over = 1.0 - survival(response.probability(response.eos_ids).sum(-1))
    return (liked(response) * (response.content + over)).sum(-1)


@mutant("one-hot = text")
class TwoScales(WithContext):
    """Another scale for texts than for responses."""

    def bind(self, context):
        self.context = context
        return sea.BoundEnergy(energy=self.energy, score_text=self.score_text)

    def energy(self, response):
        return 2.0 * response.expected_length()

    def score_text(self, prompts, texts):
        tokenizer = self.context.policy.tokenizer
        return [len(tokenizer(text, add_special_tokens=False).input_ids) + 1.0 for text in texts]


@mutant("one-hot = text")
def dense_only(response):
    """Takes the number of a candidate for its token."""
    if response.candidates is None:
        return (response.weights[..., LIKED].sum(-1) * response.content).sum(-1)
    return (liked(response) * response.content).sum(-1) * 0.5


@mutant("inputs")
def tidying(response):
    """Overwrites the ids behind the end of text."""
    value = (liked(response) * response.content).sum(-1)
    response.ids.masked_fill_(response.alive == 0, 0)
    return value


@mutant("inputs")
def sorting(prompts, texts):
    """Texts alone: strips them in place."""
    value = [float(len(text.strip())) for text in texts]
    texts[:] = [text.strip() + "." for text in texts]
    return value


@mutant("bfloat16")
class OwnTable(WithContext):
    """Multiplies the policy's embeddings with a float32 matrix."""

    def energy(self, response):
        rows = response.embed(self.context.policy.table)
        return ((rows @ torch.ones(rows.shape[-1], 1))[..., 0] * response.content).sum(-1)


@mutant("gpu")
def on_the_cpu(response):
    """Makes a tensor on the CPU."""
    places = torch.arange(response.shape[2]).float()
    return (liked(response) * response.content * places).sum(-1)
