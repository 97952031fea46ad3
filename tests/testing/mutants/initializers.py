"""Broken initializers."""

from __future__ import annotations

from dataclasses import replace

import torch

from sea_toolkit.lm.decoding import decode
from sea_toolkit.testing.tiny import converted, tiny_policy
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("initializer", MUTANTS)


def drawn(problem, noise):
    """Samples of the policy."""
    uniform = noise.uniform(problem.chains, problem.length)
    return decode(problem.policy, problem.prefix, uniform, ledger=problem.ledger)


def letters(problem, noise):
    """Letters drawn from the noise, no end of text among them."""
    return (noise.uniform(problem.chains, problem.length) * 20).long() + 10


@mutant("builds", words="a")
def unknown_option(problem, noise, *, text: str = "a"):
    """Has no option of the given name."""
    return letters(problem, noise)


@mutant("shape")
def too_short(problem, noise):
    """Stops a token before the run's length."""
    return letters(problem, noise)[..., :-1]


@mutant("shape")
def texts(problem, noise):
    """Returns texts instead of ids."""
    return problem.policy.text(letters(problem, noise))


@mutant("dtype")
def floats(problem, noise):
    """Ids as floating-point numbers."""
    return letters(problem, noise).float()


@mutant("vocabulary")
def beyond(problem, noise):
    """Ids beyond the vocabulary."""
    return letters(problem, noise) + problem.policy.vocab_size


@mutant("end of text")
def goes_on(problem, noise):
    """Tokens go on behind the end of text."""
    ids = letters(problem, noise)
    ids[..., 2] = problem.policy.eos_ids[0]
    return ids


@mutant("log π")
def of_the_proposal(problem, noise):
    """Hands over log-probabilities that are not the policy's."""
    found = drawn(problem, noise)
    return replace(found, log_prob=0.5 * found.log_prob)


@mutant("prompts alone")
def same_for_all(problem, noise):
    """All prompts get the draws of the first."""
    return letters(problem, noise)[:1].expand(len(problem.prompts), -1, -1).clone()


@mutant("repeatable")
def global_draw(problem, noise):
    """Draws from torch's global stream instead of the noise."""
    return torch.randint(10, 30, (len(problem.prompts), problem.chains, problem.length))


@mutant("global random state")
def unused_draw(problem, noise):
    """Moves torch's global stream."""
    torch.rand(1)
    return letters(problem, noise)


@mutant("inputs", {"policy": converted(tiny_policy(), torch.float32)})
def training(problem, noise):
    """Changes the policy's weights a little."""
    weight = problem.policy.model.get_output_embeddings().weight
    weight.data[7] = weight.data[7] * 1.01
    return letters(problem, noise)
