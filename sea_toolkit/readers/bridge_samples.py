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
    """Draw one answer for each prompt; the same ones each time.

    Args:
        policy: draws them.
        prompts: P texts.
        length: tokens of an answer, at most.
    """
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(len(prompts), 1, length, generator=generator).clamp(min=2.0**-25)
    prefix = policy.prefix(policy.encode(prompts, length))
    ids = decode(policy, prefix, uniform.to(policy.device)).ids
    response = SoftResponse.from_ids(ids, policy.eos_ids)
    counts = (response.content > 0.5).sum(-1).squeeze(1).tolist()
    hidden = policy.predictors(prefix, policy.backbone.embedding(ids)).squeeze(1)
    mass = torch.zeros(policy.vocab_size, device=policy.device)
    for states, count in zip(hidden, counts, strict=True):
        mass += policy.logits(states[: count + 1]).softmax(-1).sum(0)
    # an answer that ends at once has no place for another token
    kept = [i for i, count in enumerate(counts) if count]
    pick, at = random.Random(0), torch.tensor(kept, dtype=torch.long, device=ids.device)
    return Samples(
        [prompts[i] for i in kept],
        SoftResponse.from_ids(ids[at], policy.eos_ids),
        [ids[i, 0, : counts[i]].tolist() for i in kept],
        [pick.randrange(counts[i]) for i in kept],
        mass / mass.sum(),
    )
