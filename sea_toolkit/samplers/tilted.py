"""The samplers `tilted` and `tilted-exact`: suffixes proposed by the policy, tilted by the reward's gradient.

    q(v | y_<t) ∝ π(v | x, y_<t) · exp(clip(strength · A_t(v), ±clip)),    A_t(v) = −(∂R/∂p_t(v) − ∂R/∂p_t(y_t)) / Σ|w|

with R the weighted energy without −log π, its gradient taken once at the current response y. No gradient runs through
the LM, and each proposal is written by the LM token by token, so that it stays fluent.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.decoding import Decoded, Shape
from sea_toolkit.noise import Noise
from sea_toolkit.options import Number
from sea_toolkit.problem import Problem
from sea_toolkit.response import Slope, SoftResponse
from sea_toolkit.samplers.base import OPTIMIZER, Info
from sea_toolkit.samplers.suffix_mh import State, SuffixMH

CHUNK_ROWS = 256


class Tilted(SuffixMH):
    """Keep a prefix of random length, draw the rest from the tilted policy, accept as if the policy itself had
    proposed: with reference weight 1, with probability `min(1, exp(−β · (R(y') − R(y))))`. That leaves the tilt out of
    the ratio, so the chains lean towards reward more than exp(−β E) does; `tilted-exact` puts it in.

    Args:
        strength: how strongly the gradient tilts, per unit of the mean reward.
        clip: largest tilt of a token's log-probability, in nats.
        inverse_temperature: β; larger is greedier.
    """

    law: ClassVar[str] = OPTIMIZER
    needs_gradient: ClassVar[bool] = True
    uses_slope: ClassVar[bool] = True

    def __init__(
        self,
        *,
        strength: Annotated[Number, Field(ge=0)] = 5.0,
        clip: Annotated[float, Field(gt=0)] = 4.0,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(inverse_temperature=inverse_temperature)
        self.strength, self.clip = strength, clip

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        if not any(t.differentiable for t in problem.rewards):
            problem.require_gradient("tilted")
        return super().init(problem, noise)

    def proposal(self, problem: Problem, state: State, cut: int) -> Shape:
        tilt = self._tilt(problem, state)

        def shape(position: int, log_probs: Tensor, rows: Tensor) -> Tensor:
            return log_probs + tilt(position)[rows]

        return shape

    def correction(
        self, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P C"]:
        """As if the suffix had been drawn from the policy: the tilt is left out."""
        back, forth = state.log_prob[..., cut:].sum(-1), moved.log_prob[..., cut:].sum(-1)
        return problem.clock.value(self.inverse_temperature) * (back - forth)

    def _tilt(self, problem: Problem, state: State) -> _Tilt:
        weights = sum(abs(problem.clock.value(t.weight)) for t in problem.rewards if t.differentiable)
        strength = problem.clock.value(self.strength) / weights if weights else 0.0
        return _Tilt(problem, slope_of(problem, state), state.ids, strength, self.clip)


class TiltedExact(Tilted):
    """The proposals of `tilted` with the exact acceptance ratio, so that the chains sample exp(−β E).

    The way back is proposed by the gradient at y', which costs one more pass of the LM over the old suffix.

    Args:
        strength: how strongly the gradient tilts, per unit of the mean reward.
        clip: largest tilt of a token's log-probability, in nats.
        inverse_temperature: β; 1 samples exp(−E).
    """

    law: ClassVar[str] = SuffixMH.law

    def correction(
        self, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P C"]:
        assert drawn.log_proposal is not None
        back = self._log_proposal(problem, state, moved, cut)
        return back.sum(-1) - drawn.log_proposal.sum(-1)

    @torch.no_grad()
    def _log_proposal(self, problem: Problem, state: State, origin: State, cut: int) -> Float[Tensor, "P C n"]:
        """log q of the suffix of `state` when it is proposed from `origin`; 0 after the end of text."""
        policy, ids = problem.policy, state.ids
        tilt = self._tilt(problem, origin)
        hidden = policy.predictors(problem.prefix, policy.backbone.embedding(ids))
        p, c, t = ids.shape
        problem.ledger.forward("policy", p * c * (t - 1), policy.body_parameters)
        problem.ledger.forward("policy", p * c * (t - cut), policy.head_parameters)
        columns = []
        for position in range(cut, t):
            log_q = policy.logits(hidden[:, :, position].flatten(0, 1)).log_softmax(-1) + tilt(position)
            token = ids[:, :, position].reshape(-1, 1)
            columns.append((log_q.gather(-1, token).squeeze(-1) - log_q.logsumexp(-1)).unflatten(0, (p, c)))
        alive = SoftResponse.from_ids(ids, policy.eos_ids).alive[..., cut:] > 0
        return torch.where(alive, torch.stack(columns, -1), 0.0)


class _Tilt:
    """Position → what is added to the log-probabilities `[P·C, V]` there."""

    def __init__(self, problem: Problem, slope: Slope, ids: Tensor, strength: float, clip: float) -> None:
        self.size, self.slope, self.ids = problem.policy.vocab_size, slope, ids
        self.strength, self.clip = strength, clip

    def __call__(self, position: int) -> Float[Tensor, "rows V"]:
        steep = self.slope.over_vocabulary(position, self.size)
        here = steep.gather(-1, self.ids[:, :, position, None])
        return (-self.strength * (steep - here)).clamp(-self.clip, self.clip).flatten(0, 1)


def slope_of(problem: Problem, state: State) -> Slope:
    """The weighted gradient at a state, from the gradients it keeps of each reward.

    A state from a checkpoint does not know the tables they belong to; these are found by asking the energies once.
    """
    if problem.slope_layout is None:
        spent = problem.ledger.state()
        problem.rescore(state.ids, state.log_prob, slope=True)
        problem.ledger.load_state(spent)
    assert problem.slope_layout is not None
    grads, slopes = iter(state.slope), []
    for tables, tokens, own in problem.slope_layout:
        of_tables, of_tokens = [(t, next(grads)) for t in tables], [(t, next(grads)) for t in tokens]
        slopes.append(Slope(of_tables, of_tokens, [(next(grads), next(grads)) for _ in range(own)]))
    return problem.slope(slopes)
