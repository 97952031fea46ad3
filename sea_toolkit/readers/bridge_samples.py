"""Texts of the policy on which a bridge is measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.policy import Policy

PROMPTS = (
    "How was your day?",
    "Tell me about rain.",
    "Write a short story about a dog.",
    "What should I cook tonight?",
    "Explain how a bicycle works.",
    "Give me advice on saving money.",
    "Describe a city at night.",
    "Why do people travel?",
    "Review the last film you saw.",
    "How do I learn a language?",
    "Write an email to a colleague.",
    "What is a good book?",
    "Tell me a joke.",
    "Is coffee good for you?",
    "How do plants grow?",
    "Describe a holiday by the sea.",
    "What makes a good friend?",
    "Summarize the history of Rome.",
    "How do I fix a flat tire?",
    "My neighbor is too loud. What can I do?",
)
LENGTH = 32
"""Tokens of a text."""


@dataclass(frozen=True)
class Samples:
    """Texts of the policy for prompts.

    Attributes:
        prompts: P texts.
        response: P answers, one for each, as hard responses.
        rows: their tokens.
        places: a random position in each.
        probability: how likely each token was on average `[V]`, over all positions.
    """

    prompts: Sequence[str]
    response: SoftResponse
    rows: Sequence[list[int]]
    places: Sequence[int]
    probability: Float[Tensor, " V"]

    @property
    def inverse_length(self) -> float:
        """The mean of 1/T."""
        return sum(1.0 / len(row) for row in self.rows) / len(self.rows)


@torch.no_grad()
def sample(policy: Policy, prompts: Sequence[str] = PROMPTS, length: int = LENGTH) -> Samples:
    """Draw one answer for each prompt, of one token at least; the same ones each time.

    Args:
        policy: draws them.
        prompts: P texts.
        length: tokens of an answer, at most.
    """
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(len(prompts), 1, length, generator=generator).clamp(min=2.0**-25)
    prefix = policy.prefix(policy.encode(prompts, length))
    ends = torch.tensor(policy.eos_ids, device=policy.device)

    def begun(ids: Tensor, log_probs: Tensor, rows: Tensor) -> Tensor:
        return log_probs if ids.shape[1] else log_probs.index_fill(-1, ends, -torch.inf)

    ids = decode(policy, prefix, uniform.to(policy.device), logits_processor=begun).ids
    response = SoftResponse.from_ids(ids, policy.eos_ids)
    counts = (response.content > 0.5).sum(-1).squeeze(1).tolist()
    hidden = policy.predictors(prefix, policy.backbone.embedding(ids)).squeeze(1)
    mass = torch.zeros(policy.vocab_size, device=policy.device)
    for states, count in zip(hidden, counts, strict=True):
        mass += policy.logits(states[: count + 1]).softmax(-1).sum(0)
    pick, rows = random.Random(0), zip(ids[:, 0].tolist(), counts, strict=True)
    return Samples(
        prompts, response, [row[:n] for row, n in rows], [pick.randrange(n) for n in counts], mass / mass.sum()
    )
