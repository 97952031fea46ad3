"""A surrogate of the reward, from the texts that were met for a prompt: what an unfinished text is worth, without a
pass of any reward model.

The energy of the rewards R is taken to be a sum over the text's tokens,

    R(y) ≈ b + Σ_s [ a g(y_s) + ⟨w, h_s⟩ ],

with g the direction over words that the rewards' gradients tell (see `RunningMean`), and h_s what the policy's middle
layer keeps of the token in its cache: the values, a linear image of the hidden state, there since the text was drawn.
a is fitted to the energies met, from 1 on, and w by ridge regression to what is left of them, from 0 on. A prefix is
worth the sum over its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import after_end
from sea_toolkit.lm.kv_cache import KeysValues
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored

RIDGE = 1.0
"""Penalty, as a multiple of the mean squared norm of the texts' features. On texts that were left out the fit told most
with 0.5 to 2, for 8 and for 16 texts."""

REMEMBERED = 256
"""Texts per prompt that are fitted, the latest: the fit takes a matrix of that size."""

PRIOR_TEXTS = 4.0
"""Texts that the slope 1 of the direction's sum counts for: at the start of a run it is all there is."""


def met_with(problem: Problem, met: list[Tensor], scored: Scored, layers: KeysValues) -> list[Tensor]:
    """The texts met, with those just scored: their ids `[P, n, T]`; their unweighted terms `[P, n, M]`, since weights
    may move; and the sum over their tokens of 1 and of h, `[P, n, 1 + D]`.

    Args:
        problem: of the run.
        met: before; empty at first.
        scored: the new texts.
        layers: keys and values of all of their tokens but the last.
    """
    new = [scored.ids, scored.energies.values(), token_features(problem, scored.ids, layers).sum(2)]
    return [torch.cat(pair, 1)[:, -REMEMBERED:] for pair in zip(met, new, strict=True)] if met else new


@dataclass(frozen=True)
class Surrogate:
    """The fit to the texts met.

    Attributes:
        words: `[P, V]`, a g; None where nothing tells the direction.
        weights: `[P, 1 + D]`, what a token adds to the energy: a constant, and w.
    """

    words: Float[Tensor, "P V"] | None
    weights: Float[Tensor, "P F"]

    @classmethod
    def fit(cls, problem: Problem, met: list[Tensor], words: Float[Tensor, "P V"] | None) -> Surrogate:
        """The ridge regression, for each prompt.

        Args:
            problem: of the run.
            met: see `met_with`.
            words: g, in nats per token.
        """
        ids, values, features = met
        energy = rewards_energy(problem, values)
        known = energy.isfinite()
        left = _centered(energy, known)
        if words is not None:
            told = _centered(_told(problem, words, ids), known)
            prior = PRIOR_TEXTS * told.square().mean(-1, keepdim=True)
            size = (told.square().sum(-1, keepdim=True) + prior).clamp(min=torch.finfo(told.dtype).tiny)
            slope = ((told * left).sum(-1, keepdim=True) + prior) / size
            words, left = slope * words, left - slope * told
        # features less those of the mean token: a longer text is worth no more for it
        total = (features * known[..., None]).sum(1)
        mean = total[:, 1:] / total[:, :1].clamp(min=1)
        design = (features[..., 1:] - features[..., :1] * mean[:, None]) * known[..., None]
        weights = _ridge(design, left, known)
        return cls(words, torch.cat([-(weights * mean).sum(-1, keepdim=True), weights], -1))

    def value(self, problem: Problem, ids: Int[Tensor, "P n t"], layers: KeysValues) -> Float[Tensor, "P n"]:
        """What the tokens so far add to the rewards' energy; of the last token, what g says alone.

        Args:
            problem: of the run.
            ids: texts so far.
            layers: keys and values of all of their tokens but the last.
        """
        worth = torch.einsum("pntf,pf->pn", token_features(problem, ids, layers), self.weights)
        return worth if self.words is None else worth + _told(problem, self.words, ids)


def token_features(problem: Problem, ids: Int[Tensor, "P n t"], layers: KeysValues) -> Float[Tensor, "P n s F"]:
    """1 and h of all tokens but the last; 0 after the end of text. A model without a cache has no h."""
    alive = ~after_end(ids, problem.policy.eos_ids)[..., :-1, None]
    features = alive.float()
    if layers:
        _, values = layers[len(layers) // 2]
        h = values[..., : ids.shape[-1] - 1, :].transpose(1, 2).flatten(2).unflatten(0, ids.shape[:2])
        features = torch.cat([features, h.float() * alive], -1)
    return features


def rewards_energy(problem: Problem, values: Float[Tensor, "P n M"]) -> Float[Tensor, "P n"]:
    """The weighted energy of whole texts, without −log π and limits on it."""
    total = torch.zeros(values.shape[:2], device=values.device)
    for term, value in zip(problem.terms, values.unbind(-1), strict=True):
        if term.policy_energy is None:
            total = total + problem.weighted(term, value)
    return total


def _told(problem: Problem, words: Float[Tensor, "P V"], ids: Int[Tensor, "P n t"]) -> Float[Tensor, "P n"]:
    """Σ g(y_s) over the tokens of a text."""
    score = words.gather(1, ids.flatten(1)).unflatten(1, ids.shape[1:])
    return score.masked_fill(after_end(ids, problem.policy.eos_ids), 0.0).sum(-1)


def _centered(values: Float[Tensor, "P n"], known: Bool[Tensor, "P n"]) -> Float[Tensor, "P n"]:
    """Less their mean; 0 where they are not known."""
    values = torch.where(known, values, 0.0)
    mean = values.sum(-1, keepdim=True) / known.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(known, values - mean, 0.0)


def _ridge(
    design: Float[Tensor, "P n D"], left: Float[Tensor, "P n"], known: Bool[Tensor, "P n"]
) -> Float[Tensor, "P D"]:
    """Weights with a penalty of `RIDGE` times the mean squared norm of the known rows (the others are 0), found
    by the products of rows, since n is small."""
    gram = design @ design.mT
    penalty = RIDGE * gram.diagonal(dim1=-2, dim2=-1).sum(-1) / known.sum(-1).clamp(min=1)
    eye = torch.eye(gram.shape[-1], device=gram.device)
    bottom = penalty.clamp(min=torch.finfo(gram.dtype).tiny)[:, None, None]
    dual = torch.linalg.solve(gram + bottom * eye, left)
    return (design.mT @ dual[..., None]).squeeze(-1)
