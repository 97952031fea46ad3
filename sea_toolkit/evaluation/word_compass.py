"""What an energy says of each word by itself, as a compass: no gradient is needed, and no more than texts are scored.

The score of a word is that of an answer of this one token to a neutral prompt. What it is worth in a text is measured:
some tokens are put into the place of another one in answers of the policy. The compass is the line of least squares
from scores to these effects, and its variance is what the line leaves unexplained. An energy that says nothing of
single words, or that is moved by other things, so gets a compass that is not sure of itself, and hardly tilts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.base_answers import scored_base_answers
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.compass import MOST_TEXTS, Compass
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.terms import Term
from sea_toolkit.readers.fidelity import rank_correlation
from sea_toolkit.readers.piece_table import token_texts
from sea_toolkit.readers.word_prior import NEUTRAL
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.progress import Progress

TRIED, TEXTS = 64, 16
"""Tokens whose effect is measured, and texts that each of them is put into, at most."""

_TOGETHER = 256
"""Words that are scored at a time."""

_RIDGE = 0.1
"""Of the mean square of an embedding's numbers over all words: what holds the weights of a regression small."""


@dataclass(frozen=True, eq=False)
class WordCompass:
    """A compass of single words.

    Attributes:
        compass: over the vocabulary; tokens that were not scored have what their embeddings let expect.
        agreement: rank correlation of the scores with the effects.
        term: the energy, bound.
        policy: whose tokens they are.
    """

    compass: Compass
    agreement: float
    term: Term
    policy: Policy


def check_words(words: int | None) -> None:
    """Raises: RecipeError if it is no number of words of which something can be learned."""
    if words is not None and (not isinstance(words, int) or isinstance(words, bool) or words < TRIED):
        raise RecipeError(f"words = {words!r}", expected=f"a whole number, {TRIED} or more")


def calls_for_words(words: int, prompts: int) -> int:
    """Texts that an energy is asked about at most."""
    return words + min(prompts, TEXTS) * (TRIED + 1)


def word_compass(
    session: Session, composition: Composition, prompts: Sequence[Prompt], words: int, seed: int, progress: Progress
) -> WordCompass:
    """Score words, and measure what they are worth in a text.

    Args:
        session: has the models.
        composition: of one energy.
        prompts: one answer to each of the first `TEXTS` is used.
        words: how many tokens are scored: those that the policy writes most in these answers.
        seed: of the answers.
        progress: counts words, then texts.

    Raises:
        RecipeError: the energy says the same of every word.
    """
    answers = list(scored_base_answers(session, composition, prompts[:TEXTS], 1, seed, progress))
    policy = answers[0][0].policy
    tokens = _usual_tokens(policy, [(problem, scored.ids) for problem, scored in answers], words)
    neutral = session.bind(composition, [Prompt.of(NEUTRAL)])
    scores = _scores(neutral, tokens, progress)
    known = scores.isfinite()
    tokens, scores = tokens[known], scores[known]
    if len(tokens) < TRIED or float(scores.std()) == 0.0:
        raise RecipeError(
            f"{neutral.terms[0].label!r} says the same of all words by themselves",
            expected="an energy that tells single words apart",
            hint="a sampler without a compass, such as suffix-mh or best-of-n",
        )
    pick = random.Random(seed)
    tried = torch.tensor(sorted(pick.sample(range(len(tokens)), TRIED)), device=tokens.device)
    effects = torch.stack([
        row
        for problem, scored in answers
        for row in _effects(problem, scored.ids, scored.length, tokens[tried], pick, progress)
    ])  # fmt: skip
    effect = effects.nanmean(0)
    return _calibrated(policy, neutral.terms[0], tokens, scores, tried, effect)


def _usual_tokens(
    policy: Policy, answers: Sequence[tuple[Problem, Int[Tensor, "P 1 T"]]], count: int
) -> Int[Tensor, " N"]:
    """The tokens with a text that the policy gives the most probability to, over all positions of its answers."""
    mass = torch.zeros(policy.vocab_size, device=policy.device)
    for problem, ids in answers:
        hidden = policy.predictors(problem.prefix, policy.backbone.embedding(ids))[:, 0, : ids.shape[-1]]
        for states in hidden:
            mass += policy.logits(states).softmax(-1).sum(0)
    texts = token_texts(policy.tokenizer, policy.vocab_size)
    silent = torch.tensor([not (text or "").strip() for text in texts], device=mass.device)
    silent[list(policy.eos_ids)] = True
    usual = mass.masked_fill(silent, -1.0).topk(min(count, int((~silent).sum()))).indices
    return usual.sort().values


@torch.no_grad()
def _scores(problem: Problem, tokens: Int[Tensor, " N"], progress: Progress) -> Float[Tensor, " N"]:
    """The energy of each token as a whole answer that ends behind it."""
    (term,), ends = problem.terms, torch.full_like(tokens, problem.policy.eos_ids[0])
    rows = torch.stack([tokens, ends], -1)
    parts = []
    for some in rows.split(_TOGETHER):
        parts.append(problem.score_as_text(some[None]).energies.terms[term.label][0])
        progress(sum(map(len, parts)), len(rows), f"{term.label}: scoring single words")
    return torch.cat(parts)


@torch.no_grad()
def _effects(
    problem: Problem,
    ids: Int[Tensor, "P 1 T"],
    length: Float[Tensor, "P 1"],
    tokens: Int[Tensor, " n"],
    pick: random.Random,
    progress: Progress,
) -> list[Float[Tensor, " n"]]:
    """For each prompt what the energy becomes with each token at one random place of its answer."""
    (term,), counts = problem.terms, length[:, 0].long().tolist()
    swapped = ids.expand(-1, len(tokens), -1).clone()
    for row, count in zip(swapped, counts, strict=True):
        row[:, pick.randrange(max(1, min(count, ids.shape[-1])))] = tokens
    values = problem.score_as_text(swapped).energies.terms[term.label]
    progress(len(values), len(values), f"{term.label}: what words do in a text")
    return list(torch.where(values.isfinite(), values, torch.nan))


def _calibrated(
    policy: Policy,
    term: Term,
    tokens: Int[Tensor, " N"],
    scores: Float[Tensor, " N"],
    tried: Int[Tensor, " n"],
    effect: Float[Tensor, " n"],
) -> WordCompass:
    """The line of least squares from scores to effects, and what it leaves unexplained."""
    known = effect.isfinite()
    x, y = scores[tried][known].cpu().double(), effect[known].cpu().double()
    x, y = x - x.mean(), y - y.mean()
    slope = float((x @ y / x.square().sum().clamp(min=torch.finfo(x.dtype).tiny)).clamp(min=0))
    unexplained = float((y - slope * x).square().sum() / max(1, len(x) - 2))
    mean = torch.zeros(policy.vocab_size, device=policy.device)
    variance = torch.zeros_like(mean)
    guessed, off = _guessed(policy.table, tokens, scores)
    mean += slope * (guessed - scores.mean())
    mean[tokens] = slope * (scores - scores.mean())
    mean[list(policy.eos_ids)] = 0.0  # where a text ends is no matter of its words
    # the variance of as many texts as the compass counts for, so that the mean's standard error is that of the line
    variance += (unexplained + slope**2 * off) * (MOST_TEXTS - 1)
    variance[tokens] = unexplained * (MOST_TEXTS - 1)
    agreement = rank_correlation(scores[tried][known], effect[known])
    return WordCompass(Compass(mean, variance, MOST_TEXTS), agreement, term, policy)


def _guessed(
    table: Float[Tensor, "V D"], tokens: Int[Tensor, " N"], scores: Float[Tensor, " N"]
) -> tuple[Float[Tensor, " V"], float]:
    """The scores of all tokens by a ridge regression on the policy's embedding, and the mean square of what it misses.

    A tilt that names few of the policy's words and is silent on all others would be scaled to the spread of those few.
    """
    known = table.float()
    rows = known[tokens] - known[tokens].mean(0)
    products = rows.T @ rows
    ridge = _RIDGE * products.diagonal().mean() * torch.eye(len(products), device=products.device)
    weights = torch.linalg.solve(products + ridge, rows.T @ (scores - scores.mean()).float())
    guessed = scores.mean() + (known - known[tokens].mean(0)) @ weights
    return guessed, float((guessed[tokens] - scores).square().mean())
