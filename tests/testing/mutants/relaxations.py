"""Broken relaxations."""

from __future__ import annotations

import torch

from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("relaxation", MUTANTS)


@mutant("builds", temperature=-1.0)
def unknown_option(logits, *, warmth: float = 1.0):
    """Has no option of the given name."""
    return (logits / warmth).softmax(-1)


@mutant("builds")
class AsAClass:
    """Is registered as a class."""

    def __call__(self, logits):
        return logits.softmax(-1)


@mutant("shape")
def only_the_best(logits):
    """Keeps the best candidate of each position."""
    return logits.softmax(-1).max(-1, keepdim=True).values


@mutant("dtype")
def in_double(logits):
    """Computes in float64 and leaves it at that."""
    return logits.double().softmax(-1)


@mutant("rows sum to one")
def sigmoids(logits):
    """Each weight by itself between 0 and 1."""
    return logits.sigmoid()


@mutant("non-negative")
def overshoot(logits):
    """Exaggerates the softmax, so that small weights fall below 0."""
    soft = logits.softmax(-1)
    return 1.5 * soft - 0.5 / (logits > -torch.inf).sum(-1, keepdim=True) * (logits > -torch.inf)


@mutant("gradient")
def hard(logits):
    """One-hot at the best, without a backward."""
    return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


@mutant("padding")
def leaky(logits):
    """Mixes in the uniform distribution over all candidates."""
    return 0.9 * logits.softmax(-1) + 0.1 / logits.shape[-1]


@mutant("padding")
def divided(logits):
    """A sum over -inf in the backward: the gradient of padding is NaN."""
    soft = logits.softmax(-1)
    return soft + 0.0 * (logits * soft).nan_to_num(0.0, 0.0, 0.0).sum(-1, keepdim=True)


@mutant("sharp logits")
def half_hearted(logits):
    """Never gives one candidate all the weight."""
    soft = logits.softmax(-1)
    there = (logits > -torch.inf).to(soft.dtype)
    return 0.5 * soft + 0.5 * there / there.sum(-1, keepdim=True)


@mutant("large logits")
def naive(logits):
    """Exponentials without taking off the maximum first."""
    weights = logits.exp()
    return weights / weights.sum(-1, keepdim=True)


@mutant("rows alone")
def shared_scale(logits):
    """Divides by the largest logit of the whole batch."""
    finite = logits.masked_fill(logits == -torch.inf, 0.0)
    return (logits / finite.detach().abs().max().clamp(1.0, 10.0)).softmax(-1)


@mutant("prompts alone")
def one_draw_for_all(logits, noise):
    """The noise of the first prompt serves all prompts."""
    gumbel = noise.gumbel(*logits.shape[1:])[:1]
    return (logits + gumbel).softmax(-1)


@mutant("inputs")
def in_place(logits):
    """Subtracts the maximum in place."""
    if not logits.requires_grad:
        logits -= logits.amax(-1, keepdim=True)
    return logits.softmax(-1)


@mutant("global random state")
def global_draw(logits):
    """Draws from torch's global stream, for nothing."""
    torch.rand(1)
    return logits.softmax(-1)


CALLS = [0]


@mutant("repeatable")
def cooling(logits):
    """Keeps a temperature that falls with each call."""
    CALLS[0] += 1
    return (logits * (1.0 + 0.01 * CALLS[0])).softmax(-1)


@mutant("bfloat16")
def float32_only(logits):
    """Adds a float32 constant, and so returns float32 for bfloat16."""
    return (logits + torch.zeros(logits.shape[-1])).softmax(-1)


@mutant("gpu")
def on_the_cpu(logits):
    """Makes a tensor on the CPU."""
    return (logits + torch.zeros(logits.shape[-1]).to(logits.dtype)).softmax(-1)
