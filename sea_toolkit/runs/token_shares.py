"""What each token of an answer costs in −log π, and what it is worth to each reward, to first order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, TokenGradient
from sea_toolkit.problem.text_scoring import value_and_gradient
from sea_toolkit.runs.explanation import TokenShare

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.problem.terms import Term
    from sea_toolkit.runs.archive import Candidate


def explained_terms(problem: Problem) -> list[Term]:
    """The terms that tell what a token is worth: those with a gradient, limits left out."""
    return [t for t in problem.differentiable_rewards if t.limit is None]


def token_shares(
    problem: Problem, texts: Sequence[Sequence[Candidate]], weights: Sequence[Mapping[str, float]]
) -> list[list[list[TokenShare]]]:
    """The shares of the tokens of P × n texts.

    The gain of token y at position t in a term with energy E and weight w is

        w · (Σ_v π_t(v) ∂E/∂p_t(v) − ∂E/∂p_t(y)),

    with π_t what the policy would write there and the gradient taken at the text. It is first-order: the gains of a
    text do not add up to its reward, unless the reward is linear in its tokens.

    Args:
        problem: of the run.
        texts: n texts of each prompt.
        weights: for each prompt label → weight.
    """
    policy = problem.policy
    ends = torch.tensor([[c.end_token for c in row] for row in texts], device=policy.device)
    response = policy.from_text([[c.text for c in row] for row in texts], ends >= 0, ends)
    mask, room = response.alive > 0, policy.room(problem.prompt_prefix)
    if room is not None:
        mask = mask & (torch.arange(mask.shape[-1], device=mask.device) < room[:, None, None])
    terms = explained_terms(problem)
    read = response.with_gradient_taps() if terms else response
    with problem.run.beside_the_chains():
        slopes = [value_and_gradient(problem, t, read, t is not terms[-1])[1] for t in terms]
    nll, gains = _along(problem, response, mask, slopes)
    shares = []
    for p, row in enumerate(mask.tolist()):
        factors = [weights[p][t.label] for t in terms]
        shares.append(
            [
                [
                    TokenShare(
                        policy.decode([int(response.ids[p, c, t])]),
                        float(nll[p, c, t]),
                        {
                            term.label: factor * float(gain[p, c, t])
                            for term, factor, gain in zip(terms, factors, gains, strict=True)
                        },
                    )
                    for t, counts in enumerate(chain)
                    if counts
                ]
                for c, chain in enumerate(row)
            ]
        )
    return shares


@torch.no_grad()
def _along(
    problem: Problem, response: SoftResponse, mask: Bool[Tensor, "P n T"], slopes: Sequence[TokenGradient]
) -> tuple[Float[Tensor, "P n T"], list[Float[Tensor, "P n T"]]]:
    """−log π of each token, and for each slope what it is at the token below its mean under the policy."""
    policy, ids = problem.policy, response.ids
    hidden = policy.predictors(problem.prompt_prefix, policy.backbone.embedding(ids), mask)
    problem.ledger.forward("policy", int(mask.sum()), policy.body_parameters + policy.head_parameters)
    columns: list[Tensor] = []
    found: list[list[Tensor]] = [[] for _ in slopes]
    for t in range(ids.shape[-1]):  # one position at a time: [P, n, V]
        log_pi = policy.logits(hidden[:, :, t]).log_softmax(-1)
        token = ids[:, :, t, None]
        columns.append(-log_pi.gather(-1, token).squeeze(-1))
        for column, slope in zip(found, slopes, strict=True):
            column.append(_below_the_mean(slope.over_vocabulary(t, log_pi.shape[-1]), log_pi, token))
    return torch.stack(columns, -1), [torch.stack(column, -1) for column in found]


def _below_the_mean(
    gradient: Float[Tensor, "P n V"], log_pi: Float[Tensor, "P n V"], token: Int[Tensor, "P n 1"]
) -> Float[Tensor, "P n"]:
    expected = (log_pi.exp() * gradient).sum(-1)
    return expected - gradient.gather(-1, token).squeeze(-1)
