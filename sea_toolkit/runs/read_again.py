"""Texts as the policy reads them again at the end of a run: their tokens, and log π of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.runs.explanation import AnswerToken

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.runs.archive import Candidate

Texts = Sequence[Sequence["Candidate"]]
"""P × n texts."""


def as_tokens(problem: Problem, texts: Texts) -> tuple[SoftResponse, Bool[Tensor, "P n T"]]:
    """The texts as hard responses, end of text included, and which of their tokens the policy has positions for."""
    policy = problem.policy
    ends = torch.tensor([[c.end_token for c in row] for row in texts], device=policy.device)
    response = policy.from_text([[c.text for c in row] for row in texts], ends >= 0, ends)
    mask, room = response.alive > 0, policy.room(problem.prompt_prefix)
    if room is not None:
        mask = mask & (torch.arange(mask.shape[-1], device=mask.device) < room[:, None, None])
    return response, mask


@dataclass(frozen=True)
class ReadTexts:
    """P × n texts and log π of their tokens, in the policy's own tokens, end of text included.

    Attributes:
        problem: of the run.
        texts: what is read.
        ids, mask: the tokens, and which there are: for a text with more tokens than the policy has positions, those
            that fit.
        log_prob: of each token given what stands before it, in nats; 0 where there is none.
        lengths: tokens of each text, those without a position included.
    """

    problem: Problem
    texts: Texts
    ids: Int[Tensor, "P n T"]
    mask: Bool[Tensor, "P n T"]
    log_prob: Float[Tensor, "P n T"]
    lengths: list[list[float]]

    @classmethod
    def read(cls, problem: Problem, texts: Texts) -> ReadTexts:
        """One forward pass of the policy, which is in no budget: it tells of a run, and decides nothing."""
        response, mask = as_tokens(problem, texts)
        width = max(1, int(mask.sum(-1).max()))
        mask, ids = mask[..., :width], response.ids[..., :width]
        log_prob = torch.where(mask, problem.policy.log_prob(problem.prompt_prefix, ids, mask), 0.0)
        return cls(problem, texts, ids, mask, log_prob, response.expected_length().tolist())

    def nll_per_token(self) -> list[list[float]]:
        """−log π per token in nats, over the tokens that have a position. For a text that is charged for tokens that
        are not read, the mean over all of them; nan where that is not known."""
        means = (-self.log_prob.sum(-1) / self.mask.sum(-1).clamp(min=1)).tolist()
        return [
            [mean if c.tokens == n else mean_charge(self.problem, c) for mean, n, c in zip(*rows, strict=True)]
            for rows in zip(means, self.lengths, self.texts, strict=True)
        ]

    def tokens(self) -> list[list[list[AnswerToken]]]:
        """The tokens of each text."""
        rows = zip(self.texts, self.ids.tolist(), self.log_prob.tolist(), self.mask.sum(-1).tolist(), strict=True)
        return [[self._tokens(c, i[:n], numbers[:n]) for c, i, numbers, n in zip(*row, strict=True)] for row in rows]

    def _tokens(self, candidate: Candidate, ids: list[int], log_probs: list[float]) -> list[AnswerToken]:
        written = candidate.text.encode(errors="surrogatepass")
        seen = ids[:-1] if candidate.finished and ids[-1:] == [candidate.end_token] else ids
        spans = self.problem.policy.spans.of(seen, candidate.text)
        spans += [(len(written), len(written))] * (len(ids) - len(seen))
        return [
            AnswerToken(written[start:end].decode(errors="replace"), (start, end), number)
            for (start, end), number in zip(spans, log_probs, strict=True)
        ]


def mean_charge(problem: Problem, candidate: Candidate) -> float:
    """−log π per token by the candidate's own terms."""
    tokens = torch.tensor([[float(candidate.tokens)]])
    for term in problem.terms:
        if term.policy_energy is not None and candidate.tokens:
            return candidate.terms[term.label] / float(term.policy_energy.per_nat(tokens)) / candidate.tokens
    return float("nan")
