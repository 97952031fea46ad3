"""Responses as a person reads them: decoded, tokenized again, and scored term by term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.core.ranks import same as as_first
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import PluginError
from sea_toolkit.problem.charge import Charge, charge_for
from sea_toolkit.problem.choice import violations
from sea_toolkit.problem.gradients import not_finite
from sea_toolkit.problem.scores import Energies, Scored, choose_rows, same_rows, wrong_ids
from sea_toolkit.problem.terms import Term
from sea_toolkit.registry.blame import attribute_errors_to

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


def read_as_text(
    problem: Problem, ids: Int[Tensor, "P C T"]
) -> tuple[list[list[str]], SoftResponse, Bool[Tensor, "P C"]]:
    """See `Problem.as_text`."""
    wrong = wrong_ids(ids, (len(problem.prompts), None, None), problem.policy.vocab_size)
    if wrong is not None:
        raise PluginError(f"the responses to be scored are {wrong[0]}", expected=wrong[1])
    whole, policy = problem.with_locked_prefix(ids), problem.policy
    drawn = SoftResponse.from_ids(whole, policy.eos_ids)
    texts, ends = policy.text(whole), policy.ends(ids)
    response = policy.from_text(texts, ends >= 0, ends)
    room = policy.room(problem.prompt_prefix)
    if room is not None and response.shape[2] > whole.shape[2]:  # else it fits: the drawn tokens do
        over = response.expected_length() > room[:, None]
        response = choose_rows(over, drawn, response)
    return texts, response, same_rows(drawn, response)


def score_texts(
    problem: Problem, ids: Int[Tensor, "P C T"], log_prob: Float[Tensor, "P C T"] | None, gradients: bool
) -> Scored:
    """See `Problem.score_as_text`."""
    texts, response, same = problem.as_text(ids)
    read = ReadTexts(ids, texts, problem.policy.ends(ids), response, same)
    return _scored(problem, read, charge_for(problem, ids, texts, response, same, log_prob), gradients)


def score_given_texts(problem: Problem, texts: Sequence[Sequence[str]], finished: Bool[Tensor, "P C"]) -> Scored:
    """Score texts that no chain has written.

    Args:
        problem: with C chains.
        texts: P × C.
        finished: which of them end; the others are cut.
    """
    policy = problem.policy
    response = policy.from_text(texts, finished)
    same = torch.ones_like(finished, device=policy.device)
    read = ReadTexts(response.ids, [list(row) for row in texts], policy.ends(response.ids), response, same)
    return _scored(problem, read, Charge(None, None, response.expected_length()), False)


@dataclass(frozen=True)
class ReadTexts:
    """Texts and their tokens; see `Scored` for the first three, `Problem.as_text` for the others."""

    ids: Int[Tensor, "P C T"]
    texts: list[list[str]]
    ends: Int[Tensor, "P C"]
    response: SoftResponse
    same: Bool[Tensor, "P C"]


def _scored(problem: Problem, given: ReadTexts, charge: Charge, gradients: bool) -> Scored:
    """Every term of texts."""
    length = charge.length
    if charge.drawn is not None:
        problem.run.stop(f"a logit of policy {problem.policy.name!r}", charge.drawn.isnan())
    values: dict[str, Tensor] = {}
    response = given.response
    charged = {t.label: charge.of(t, response) for t in problem.terms if t.policy_energy is not None}
    if charged:
        problem.run.reread.look(given.same)
    nll = next((nll for _, nll in charged.values()), torch.full_like(length, torch.nan))
    response = replace(response, log_prob=-nll if charged else charge.known)
    rewards = [t.label for t in problem.differentiable_rewards] if gradients else []
    # one response for all of them: terms on one model share its forward pass
    read = response.with_gradient_taps() if rewards else response
    token_gradients: list[TokenGradient] = []
    for t in problem.terms:
        if t.label in charged:
            value, _ = charged[t.label]
        elif t.label in rewards:
            value, gradient = value_and_gradient(problem, t, read, t.label != rewards[-1])
            token_gradients.append(gradient)
        else:
            with torch.no_grad():
                value = t.of_text(response, problem.prompts, given.texts)
        values[t.label] = as_first(value.detach())
    total = _total(problem, given.ids, values)
    if charge.drawn is not None:
        total = total.masked_fill(charge.drawn.isnan(), torch.inf)
    energies = problem.mask_nonfinite(Energies(total, values))
    found = token_gradients if gradients else None
    outside = {} if problem.run.weighing.measures else violations(problem, values)
    return Scored(given.ids, given.texts, given.ends, given.same, length, nll, energies, found, outside)


def _total(problem: Problem, ids: Int[Tensor, "P C T"], values: dict[str, Tensor]) -> Float[Tensor, "P C"]:
    """The energy of texts by their terms' values, on which scales and limits are measured if these are the first."""
    weighing, multipliers = problem.run.weighing, problem.run.multipliers
    weighing.look(problem, ids, values)
    if multipliers.waits(problem.terms) and not weighing.measures:
        multipliers.measure(problem, values)
    total = torch.zeros_like(next(iter(values.values())))
    for t in problem.terms:
        total = total + problem.weighted(t, values[t.label])
    return total


@torch.enable_grad()
def value_and_gradient(
    problem: Problem, term: Term, read: SoftResponse, others_follow: bool
) -> tuple[Tensor, TokenGradient]:
    """A term's value, and its gradient with respect to every token's probability.

    Args:
        problem: of the run.
        term: with a gradient.
        read: hard responses with gradient taps, which all terms may share.
        others_follow: another term is asked about the same response.
    """
    value = term(read)
    assert read.taps is not None
    steered_by = value if term.limit is None else term.limit.steered_by(value)
    with attribute_errors_to(term.owner, "failed in the backward pass", user_errors_pass=True):
        gradient = read.taps.gradient(steered_by.sum(), keep_graph=others_follow).within(read.expected_length())
    broken = torch.stack([not_finite(grad) for grad in gradient.grads]).any(0)
    if bool(broken.any()):
        problem.run.stop(f"the gradient of energy {term.qualified!r}", broken & value.detach().isfinite())
        gradient = gradient.without(broken)
    return value, gradient
