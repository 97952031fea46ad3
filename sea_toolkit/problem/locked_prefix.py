"""A text that begins every answer. Samplers write only what follows it; energies read the whole answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy


@dataclass(frozen=True)
class LockedPrefix:
    """The text that begins all answers of a run.

    Attributes:
        text: as given, with the white space in front that the chat template puts before an answer.
        ids: its tokens `[L]`.
        log_prob: `[P]`, Σ log π of these tokens after each prompt.
        prompts: the cache of the prompts alone; `Problem.prefix` also holds the locked text.
    """

    text: str
    ids: Int[Tensor, " L"]
    log_prob: Float[Tensor, " P"]
    prompts: Prefix

    def __len__(self) -> int:
        return len(self.ids)

    def prepend(self, ids: Int[Tensor, "P n t"]) -> Int[Tensor, "P n s"]:
        """Whole answers: the locked text in front of what a sampler has written."""
        return torch.cat([self.ids.expand(*ids.shape[:2], -1), ids], -1)


def lock_prefix(
    text: str, policy: Policy, rows: Sequence[Sequence[int]], prompts: Prefix, length: int, ledger: Ledger
) -> tuple[LockedPrefix, Prefix]:
    """The locked prefix, and the key/value cache of prompts and locked text.

    Args:
        text: what all answers begin with.
        policy: writes the rest.
        rows: token ids of the prompts; `prompts` is their cache.
        length: tokens of an answer, the text included.
        ledger: counts the tokens.

    Raises:
        RecipeError: a text of no tokens, of too many, or that the policy's tokens cannot spell.
    """
    beginning = policy.beginning(text, length, "the locked text")
    text = policy.as_answer(text)
    if policy.decode(beginning) != text:
        raise RecipeError(
            f"the locked text {text!r} reads {policy.decode(beginning)!r} in tokens of {policy.name}",
            expected="a text that its tokens spell",
        )
    ids = torch.tensor(beginning, device=policy.device)
    log_prob = policy.log_prob(prompts, ids.expand(len(rows), 1, -1)).sum((1, 2))
    whole = [[*row, *beginning] for row in rows]
    ledger.forward("policy", len(rows) * len(beginning), policy.body_parameters + policy.head_parameters)
    ledger.forward("policy", sum(map(len, whole)), policy.body_parameters)
    return LockedPrefix(text, ids, log_prob, prompts), policy.prefix(whole)
