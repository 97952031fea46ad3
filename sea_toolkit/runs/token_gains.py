"""What each token of an answer is worth to each reward, and how far the rewards would move the policy at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.text_scoring import value_and_gradient
from sea_toolkit.runs.read_again import Texts, as_tokens

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.problem.terms import Term


class TokenGain(NamedTuple):
    """`gains` and `kl` of an `AnswerToken`."""

    gains: dict[str, float]
    kl: float | None


def explained_terms(problem: Problem) -> list[Term]:
    """The terms that tell what a token is worth: those with a gradient, limits left out."""
    return [t for t in problem.differentiable_rewards if t.limit is None]


def token_gains(problem: Problem, texts: Texts, weights: Sequence[Mapping[str, float]]) -> list[list[list[TokenGain]]]:
    """The gains of the tokens of P × n texts.

    The gain of token y at position t in a term with energy E and weight w is

        w · (Σ_v π_t(v) ∂E/∂p_t(v) − ∂E/∂p_t(y)),

    with π_t what the policy would write there and the gradient taken at the text. It is first-order: the gains of a
    text do not add up to its reward, unless the reward is linear in its tokens. The divergence at a position is
    KL(q_t ‖ π_t) with q_t(v) ∝ π_t(v) · exp(−Σ w ∂E/∂p_t(v)) over all terms: the policy, tilted by their slopes.

    Args:
        problem: of the run.
        texts: n texts of each prompt.
        weights: for each prompt label → weight.
    """
    response, mask = as_tokens(problem, texts)
    terms = explained_terms(problem)
    read = response.with_gradient_taps() if terms else response
    with problem.run.beside_the_chains():
        slopes = [value_and_gradient(problem, t, read, t is not terms[-1])[1] for t in terms]
    factors = [torch.tensor([[row[t.label]] for row in weights], device=mask.device) for t in terms]
    gains, divergence = _along(problem, response, mask, list(zip(factors, slopes, strict=True)))
    columns = [gain.tolist() for gain in gains]
    return [
        [
            [
                TokenGain(
                    {term.label: column[p][c][t] for term, column in zip(terms, columns, strict=True)},
                    number if terms else None,
                )
                for t, (counts, number) in enumerate(zip(*chain, strict=True))
                if counts
            ]
            for c, chain in enumerate(zip(*row, strict=True))
        ]
        for p, row in enumerate(zip(mask.tolist(), divergence.tolist(), strict=True))
    ]


@torch.no_grad()
def _along(
    problem: Problem,
    response: SoftResponse,
    mask: Bool[Tensor, "P n T"],
    weighted: Sequence[tuple[Float[Tensor, "P 1"], TokenGradient]],
) -> tuple[list[Float[Tensor, "P n T"]], Float[Tensor, "P n T"]]:
    """For each weight and slope what it is at the token below its mean under the policy, and the divergence of the
    policy tilted by all of them."""
    policy, ids = problem.policy, response.ids
    hidden = policy.predictors(problem.prompt_prefix, policy.backbone.embedding(ids), mask)
    problem.ledger.forward("policy", int(mask.sum()), policy.body_parameters + policy.head_parameters)
    gains: list[list[Tensor]] = [[] for _ in weighted]
    divergence = []
    for t in range(ids.shape[-1]):  # one position at a time: [P, n, V]
        log_pi = policy.logits(hidden[:, :, t]).log_softmax(-1)
        total = torch.zeros_like(log_pi)
        for column, (weight, slope) in zip(gains, weighted, strict=True):
            gradient = weight[..., None] * slope.over_vocabulary(t, log_pi.shape[-1])
            column.append(_below_the_mean(gradient, log_pi, ids[:, :, t, None]))
            total += gradient
        divergence.append(_tilted_by(-total, log_pi))
    return [torch.stack(column, -1) for column in gains], torch.stack(divergence, -1)


def _below_the_mean(
    gradient: Float[Tensor, "P n V"], log_pi: Float[Tensor, "P n V"], token: Int[Tensor, "P n 1"]
) -> Float[Tensor, "P n"]:
    expected = (log_pi.exp() * gradient).sum(-1)
    return expected - gradient.gather(-1, token).squeeze(-1)


def _tilted_by(push: Float[Tensor, "P n V"], log_pi: Float[Tensor, "P n V"]) -> Float[Tensor, "P n"]:
    """KL(q ‖ π) of q(v) ∝ π(v) · exp(push(v)): its mean push minus the log of its norm."""
    log_norm = (log_pi + push).logsumexp(-1)
    q = (log_pi + push - log_norm[..., None]).exp()
    return ((q * push).sum(-1) - log_norm).clamp(min=0.0)  # rounding
