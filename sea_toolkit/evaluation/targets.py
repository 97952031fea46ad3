"""Weights that lead the mean of a reward to a target: the tilt of base answers with the least change that does so.

Answers y of the policy are weighed by exp(f(y) + Σ_j w_j g_j(y)), where f holds the terms whose weights are given. The
weights w ≥ 0 for which the mean of each g_j is its target minimize the convex function

    F(w) = mean_p log mean_i exp(f_pi + w · g_pi) − w · target,

the dual of maximum entropy (Jaynes 1957; Csiszár 1975). Its gradient is the mean less the target, and its Hessian the
covariance under the tilt, so that a few Newton steps on w ≥ 0 find them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 4.0
"""Effective answers per prompt below which a tilted mean says nothing."""
LARGEST = 64.0
"""A weight, per unit of g, beyond which base answers do not lead."""
CLOSE = 1e-6
"""How near a mean has to be to its target, in units of g."""
NEWTON_STEPS, CORRECTIONS = 100, 30


@dataclass(frozen=True)
class Tilted:
    """Base answers of P prompts under weights.

    Attributes:
        weights: `[M]`, per unit of g.
        mean: `[M]`, of g, averaged over prompts.
        effective: the effective number of answers per prompt, (Σ a)² / Σ a², averaged over prompts.
        reached: whether each mean is its target, or above it without any weight, and enough answers count.
    """

    weights: Float[Tensor, " M"]
    mean: Float[Tensor, " M"]
    effective: float
    reached: bool


@dataclass(frozen=True)
class Answers:
    """Base answers as the targets see them.

    Attributes:
        gains: g, `[P, n, M]`: each wanted term with its sign, higher is better, in units of its scale.
        given: f, `[P, n]`: what the other terms add to log π; −inf leaves an answer out.
    """

    gains: Float[Tensor, "P n M"]
    given: Float[Tensor, "P n"]

    @classmethod
    def of(cls, gains: Tensor, given: Tensor) -> Answers:
        """In float64, without the answers that are not finite."""
        bad = ~gains.isfinite().all(-1) | given.isnan() | (given == torch.inf)
        gains = gains.double().masked_fill(bad[..., None], 0.0)
        return cls(gains, given.double().masked_fill(bad, -torch.inf))

    def quantiles(self, wanted: Sequence[float]) -> Float[Tensor, " M"]:
        """Each gain's quantile among the base answers to a prompt, averaged over prompts.

        The quantile is the median-unbiased one of Hyndman and Fan (1996, definition 8).
        """
        rows = []
        for gains, given in zip(self.gains, self.given, strict=True):
            kept = gains[given > -torch.inf].numpy()
            if len(kept):
                pairs = enumerate(wanted)
                rows.append([float(np.quantile(kept[:, j], q, method="median_unbiased")) for j, q in pairs])
        return torch.tensor(rows, dtype=torch.float64).mean(0)

    def only(self, j: int) -> Answers:
        """With one wanted term alone."""
        return Answers(self.gains[..., j : j + 1], self.given)

    def correlation(self) -> Float[Tensor, "M M"]:
        """Of the gains among the base answers to a prompt."""
        kept = (self.given > -torch.inf)[..., None]
        count = kept.sum(1, keepdim=True).clamp(min=1)
        apart = (self.gains - self.gains.sum(1, keepdim=True) / count).masked_fill(~kept, 0.0).flatten(0, 1)
        covariance = apart.T @ apart
        size = covariance.diagonal().sqrt().clamp(min=torch.finfo(covariance.dtype).tiny)
        return covariance / size / size[:, None]

    def under(self, weights: Float[Tensor, " M"]) -> _Moments:
        """Moments under weights."""
        logits = self.given + self.gains @ weights
        alive = logits.isfinite().any(-1)
        logits, gains = logits[alive], self.gains[alive]
        shares = logits.softmax(-1)
        means = (shares[..., None] * gains).sum(1)
        apart = gains - means[:, None]
        covariance = torch.einsum("pn,pni,pnj->ij", shares, apart, apart) / len(gains)
        value = (logits.logsumexp(-1) - logits.isfinite().sum(-1).log()).mean()
        return _Moments(value, means.mean(0), covariance, _bias(shares, gains, means), _effective(shares))


@dataclass(frozen=True)
class _Moments:
    value: Tensor
    mean: Tensor
    covariance: Tensor
    bias: Tensor
    effective: float


def _effective(shares: Float[Tensor, "P n"]) -> float:
    return float((1.0 / shares.square().sum(-1)).mean())


def _bias(shares: Float[Tensor, "P n"], gains: Float[Tensor, "P n M"], means: Float[Tensor, "P M"]) -> Tensor:
    """What a tilted mean of so few answers lacks, by the jackknife: a prompt's best answers are only those drawn."""
    count = (shares > 0).sum(-1)[:, None]
    left = (1.0 - shares).clamp(min=1e-12)[..., None]
    without = (means[:, None] - shares[..., None] * gains) / left
    kept = (shares > 0)[..., None]
    average = without.masked_fill(~kept, 0.0).sum(1) / count
    return ((count - 1) * (means - average)).mean(0)


def weights_for(answers: Answers, targets: Float[Tensor, " M"]) -> Tilted:
    """The weights w ≥ 0 under which each mean is its target; 0 where a mean is above its target without a weight.

    The mean is corrected for the few answers of a prompt (see `_bias`): the target is shifted by the correction until
    both agree.

    Args:
        answers: of the policy.
        targets: of the means.
    """
    weights, shift = torch.zeros_like(targets), torch.zeros_like(targets)
    found = answers.under(weights)
    for _ in range(CORRECTIONS):
        weights = _newton(answers, targets - shift, weights)
        found = answers.under(weights)
        if bool(((found.bias - shift).abs() < CLOSE).all() | (weights >= LARGEST).any()):
            break
        shift = 0.5 * (shift + found.bias)
    mean = found.mean + found.bias
    near = ((mean - targets).abs() < 1e-3) | ((weights == 0) & (mean > targets))
    return Tilted(weights, mean, found.effective, bool(near.all()) and found.effective >= LEAST)


def _newton(answers: Answers, targets: Tensor, weights: Tensor) -> Tensor:
    """Minimize F over 0 ≤ w ≤ `LARGEST`: Newton steps on the weights that are free to move, halved until F falls."""
    for _ in range(NEWTON_STEPS):
        here = answers.under(weights)
        slope = here.mean - targets
        held = ((weights <= 0) & (slope > 0)) | ((weights >= LARGEST) & (slope < 0))
        if bool((held | (slope.abs() < CLOSE)).all()):
            break
        free = (~held).nonzero()[:, 0]
        curvature = here.covariance[free][:, free]
        curvature = curvature + 1e-9 * torch.eye(len(free), dtype=curvature.dtype)
        step = torch.zeros_like(weights)
        step[free] = -torch.linalg.solve(curvature, slope[free])
        step = step * min(1.0, LARGEST / float(step.abs().max().clamp(min=1e-12)))
        objective = here.value - weights @ targets
        for halving in range(40):
            trial = (weights + step * 0.5**halving).clamp(0.0, LARGEST)
            fall = float(objective - (answers.under(trial).value - trial @ targets))
            if fall >= 1e-4 * float(slope @ (weights - trial)):
                break
        if bool((trial == weights).all()):
            break
        weights = trial
    return weights


def highest(answers: Answers, wanted: Sequence[float], *, steps: int = 8) -> list[float]:
    """The highest quantiles on the way from the base answers to those wanted that base answers can reach together."""
    middle = answers.under(torch.zeros(len(wanted), dtype=torch.float64))
    kept = answers.given > -torch.inf
    start = [float((answers.gains[..., j][kept] < middle.mean[j]).double().mean()) for j in range(len(wanted))]
    low, high = 0.0, 1.0
    for _ in range(steps):
        part = (low + high) / 2
        quantiles = [a + part * max(0.0, q - a) for a, q in zip(start, wanted, strict=True)]
        if weights_for(answers, answers.quantiles(quantiles)).reached:
            low = part
        else:
            high = part
    return [min(q, a + low * max(0.0, q - a)) for a, q in zip(start, wanted, strict=True)]
