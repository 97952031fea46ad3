"""The Metropolis–Hastings test, for all samplers that accept or reject, and its form for several tries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise, draw


@dataclass(frozen=True)
class Acceptance:
    """The outcome of one proposal per chain.

    Attributes:
        mask: `[P, C]`, the chains whose proposal is accepted.
        rate: `[P, C]`, the probability of acceptance, 0 in stopped chains; unlike `mask` it has no noise of its own.
    """

    mask: Bool[Tensor, "P C"]
    rate: Float[Tensor, "P C"]

    @property
    def metrics(self) -> dict[str, Tensor]:
        """For `Info`: `acceptance` and `accepted`, which the run counts and reports."""
        return {"acceptance": self.rate, "accepted": self.mask.float()}


def metropolis(
    noise: Noise, log_ratio: Float[Tensor, "P C"], proposed: Float[Tensor, "P C"], stopped: Bool[Tensor, "P C"]
) -> Acceptance:
    """Accept each chain's proposal with probability `min(1, exp(log_ratio))`.

    A chain at an energy of +inf (a ratio of +inf) accepts every proposal of finite energy. A proposal whose energy is
    not finite, or a ratio of NaN, is rejected.

    Args:
        noise: gives one uniform number per chain.
        log_ratio: `β · (E(y) − E(y')) + log q(y | y') − log q(y' | y)`.
        proposed: energy of the proposal, E(y').
        stopped: chains that stay, `problem.stopped`.
    """
    log_ratio = log_ratio.nan_to_num(-torch.inf, torch.inf, -torch.inf)
    uniform = noise.uniform(log_ratio.shape[1]).to(log_ratio.device)
    accepted = (uniform.log() < log_ratio) & proposed.isfinite() & ~stopped
    return Acceptance(accepted, torch.where(stopped, 0.0, log_ratio.clamp(max=0.0).exp()))


@dataclass(frozen=True)
class Chosen(Acceptance):
    """The outcome of several proposals per chain.

    Attributes:
        tries: `[P, C]`, which of the n proposals is the chain's choice; any of them in chains without one.
    """

    tries: Int[Tensor, "P C"]


def multiple_try(
    noise: Noise,
    log_ratio: Float[Tensor, "P n"],
    proposed: Float[Tensor, "P n"],
    owners: Int[Tensor, "P n"],
    stopped: Bool[Tensor, "P C"],
) -> Chosen:
    """Choose one of each chain's tries by weight, and accept it (multiple-try Metropolis, Liu, Liang and Wong 2000).

    Tries are drawn independently of the text that the chain leaves (new suffixes behind a given cut are), so the other
    tries and that text are the reference set: with w_i = exp(log_ratio_i), try j is chosen with probability w_j / Σ w
    and accepted with `min(1, Σ w / (1 + Σ_{i ≠ j} w_i))`. With one try it is the Metropolis–Hastings test.

    Args:
        noise: gives a uniform number per chain, and another one where chains have several tries.
        log_ratio: of n proposals, each as in `metropolis`.
        proposed: energies of the proposals.
        owners: the chain that each proposal is a try of, in ascending order.
        stopped: chains that stay, `problem.stopped`.
    """
    usable = log_ratio.nan_to_num(-torch.inf, STEEPEST, -torch.inf).masked_fill(~proposed.isfinite(), -torch.inf)
    rows, chains = stopped.shape
    edges = torch.searchsorted(owners.contiguous(), torch.arange(chains + 1, device=owners.device).repeat(rows, 1))
    first, count = edges[:, :-1], edges.diff(dim=-1)  # of a chain's tries: where they begin, how many they are
    number = torch.arange(max(1, int(count.amax())), device=owners.device)
    places = (first[..., None] + number).clamp(max=owners.shape[1] - 1)
    of_places = usable.gather(1, places.flatten(1)).view_as(places)
    by_chain = torch.where(number < count[..., None], of_places, -torch.inf)
    chosen = by_chain.argmax(-1)
    if len(number) > 1:
        weights = (by_chain - by_chain.amax(-1, keepdim=True).clamp(min=-STEEPEST)).exp()
        chosen, _ = draw(weights, noise.uniform(chains).to(weights.device))
    others = by_chain.scatter(-1, chosen[..., None], -torch.inf).logsumexp(-1)
    ratio = by_chain.logsumexp(-1) - torch.logaddexp(others, torch.zeros_like(others))
    tries = places.gather(-1, chosen[..., None]).squeeze(-1)
    energy = proposed.gather(1, tries).masked_fill(count == 0, torch.inf)
    test = metropolis(noise, ratio, energy, stopped)
    return Chosen(test.mask, test.rate, tries)


STEEPEST = 1e6
"""Nats: a chain at an energy of +inf takes any text of a finite one."""
