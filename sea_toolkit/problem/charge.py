"""What the policy charges for texts: −log π of the text as it is read, or of the tokens that it was drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import after_end
from sea_toolkit.problem.terms import Term

if TYPE_CHECKING:
    from sea_toolkit.core.response import SoftResponse
    from sea_toolkit.problem.problem import Problem


@dataclass(frozen=True)
class Charge:
    """The tokens that a batch of texts is charged for.

    Attributes:
        drawn: `[P, C]`, Σ log π of the tokens that the texts were drawn in, or None if it is not known.
        holds: `[P, C]`, where the charge is that of the drawn tokens, or None if nowhere; elsewhere the policy reads
            the text.
        length: `[P, C]`, the number of tokens charged for, end of text included.
    """

    drawn: Float[Tensor, "P C"] | None
    holds: Bool[Tensor, "P C"] | None
    length: Float[Tensor, "P C"]

    @property
    def known(self) -> Float[Tensor, "P C"] | None:
        """Σ log π where it is that of the drawn tokens, NaN elsewhere."""
        if self.drawn is None or self.holds is None:
            return None
        return torch.where(self.holds, self.drawn, torch.nan)

    def of(self, term: Term, response: SoftResponse) -> tuple[Float[Tensor, "P C"], Float[Tensor, "P C"]]:
        """The value of a term that is −log π, and −log π in nats."""
        policy = term.policy_energy
        assert policy is not None, term.label
        value = term.of_policy(response, self.drawn, self.holds)
        if self.drawn is not None and self.holds is not None:
            value = torch.where(self.holds, -self.drawn * policy.per_nat(self.length), value)
        return value, value / policy.per_nat(self.length)


def charge_for(
    problem: Problem,
    ids: Int[Tensor, "P C T"],
    texts: Sequence[Sequence[str]],
    response: SoftResponse,
    same: Bool[Tensor, "P C"],
    log_prob: Float[Tensor, "P C T"] | None,
) -> Charge:
    """What is charged for hard responses.

    Special tokens are not read. A text that has not ended would be cheaper without those that it was drawn with, and a
    text of nothing else would be free: such texts are charged for their tokens.

    Args:
        problem: of the run.
        ids: the hard responses.
        texts: what a person reads of them.
        response: the texts' own tokens.
        same: which of them are `ids`.
        log_prob: log π of each token of `ids`, if it is known.
    """
    length, locked = response.expected_length(), problem.locked
    drawn = None
    if log_prob is not None:
        drawn = torch.where(after_end(ids, problem.policy.eos_ids), 0.0, log_prob).sum(-1)
        if locked is not None:
            drawn = drawn + locked.log_prob[:, None]
    whole = problem.with_locked_prefix(ids)
    unread = _unread(problem, whole, texts, length)
    if not bool(unread.any()):
        return Charge(drawn, None if drawn is None else same, length)
    length = torch.where(unread, float(whole.shape[-1]), length)
    if drawn is not None:
        return Charge(drawn, same | unread, length)
    policy, rows = problem.policy, unread.nonzero()
    found = policy.log_prob(problem.prompt_prefix.select(rows[:, 0]), whole[unread][:, None])
    problem.ledger.forward("policy", found.numel(), policy.body_parameters + policy.head_parameters)
    return Charge(torch.zeros_like(length).masked_scatter(unread, found.sum((1, 2))), unread, length)


def _unread(
    problem: Problem, whole: Int[Tensor, "P C L"], texts: Sequence[Sequence[str]], length: Float[Tensor, "P C"]
) -> Bool[Tensor, "P C"]:
    """Texts that have not ended, and have fewer tokens than they were drawn in because special ones are not read."""
    policy = problem.policy
    unread = (policy.ends(whole) < 0) & (length < whole.shape[-1])
    for p, c in unread.nonzero().tolist():
        unread[p, c] = policy.answers.decode(whole[p, c].tolist(), special=True) != texts[p][c]
    return unread
