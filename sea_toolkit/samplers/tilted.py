"""The samplers `tilted` and `tilted-exact`: suffixes proposed by the policy, tilted by the rewards' gradient.

    q(v | y_<t) ∝ π(v | x, y_<t)^(1/temperature) · exp(clip(scale · g(v), ±clip)),      g(v) = −mean_t ∂R/∂p_t(v)

with R the weighted energy without −log π. The gradient at one position of one text is mostly noise; its mean over the
positions, and over the texts met so far, tells which words the rewards like. A word is favored once in a text. No
gradient runs through the LM, and each proposal is written by the LM token by token, so that it stays fluent.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.decoding import Decoded, Shape
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import OPTIMIZER, Info
from sea_toolkit.samplers.suffix_mh import State, SuffixMH


class _Gradient(SuffixMH):
    """What both samplers share: from gradients to what is added to the policy's log-probabilities."""

    needs_gradient: ClassVar[bool] = True
    uses_slope: ClassVar[bool] = True
    cut_power: ClassVar[float] = 2.0

    def __init__(
        self,
        *,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        spread: Annotated[Number, Field(ge=0)] = 1.5,
        clip: Annotated[float, Field(gt=0)] = 8.0,
        temperature: Annotated[float, Field(gt=0)] = 0.8,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(inverse_temperature=inverse_temperature)
        self.strength, self.spread, self.clip, self.temperature = strength, spread, clip, temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        if not any(t.differentiable for t in problem.rewards):
            problem.require_gradient("tilted")
        return super().init(problem, noise)

    def proposal(self, problem: Problem, state: State) -> Shape:
        tilt = self.tilt(problem, state).flatten(0, 1)

        def shape(before: Tensor, log_probs: Tensor, rows: Tensor) -> Tensor:
            return log_probs + once(tilt[rows], before)

        return shape

    def tilt(self, problem: Problem, state: State) -> Float[Tensor, "P C V"]:
        """What is added to the policy's log-probabilities."""
        raise NotImplementedError

    def _scaled(self, problem: Problem, gradient: Float[Tensor, "P C V"]) -> Float[Tensor, "P C V"]:
        """`strength` times the gradient, or less where the spread over the vocabulary would be too large."""
        centered = gradient - gradient.mean(-1, keepdim=True)
        size = centered.std(-1, keepdim=True, correction=0).clamp(min=torch.finfo(centered.dtype).tiny)
        strength, spread = problem.clock.value(self.strength), problem.clock.value(self.spread)
        return (centered * (spread / size).clamp(max=strength)).clamp(-self.clip, self.clip)


class Tilted(_Gradient):
    """Keep a prefix of random length, draw the rest from the tilted policy, accept with probability
    `min(1, exp(−β · (E(y') − E(y))))`. The tilt follows the gradients of all texts that were met for a prompt, so
    it sharpens as the run goes on, and it is not in the ratio: the chains search. `tilted-exact` samples.

    Args:
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy in the proposals; below 1 it writes more fluently.
        inverse_temperature: β; larger is greedier.
    """

    law: ClassVar[str] = OPTIMIZER
    shares_compass: ClassVar[bool] = True

    def point(self, problem: Problem, scored: Scored, state: State | None) -> list[Tensor]:
        """Sums over the texts met so far: of each reward's gradient and of its square `[P, 1, M, V]`, and how many."""
        found = directions(problem, scored)
        count = found.new_full((found.shape[0], 1, 1, 1), found.shape[1])
        sums = [found.sum(1, keepdim=True), found.square().sum(1, keepdim=True), count]
        return sums if state is None else [a + b for a, b in zip(state.compass, sums, strict=True)]

    def tilt(self, problem: Problem, state: State) -> Float[Tensor, "P C V"]:
        """A token's mean gradient counts as far as it stands out from its standard error (Wiener's filter)."""
        total, square, count = state.compass
        mean = total / count
        error = (square / count - mean.square()).clamp(min=0) / (count - 1).clamp(min=1)
        weights = _weights(problem, mean)
        mean, error = weights @ mean, weights.square() @ error
        power = mean.square()
        sure = power / (power + error).clamp(min=torch.finfo(power.dtype).tiny)
        return self._scaled(problem, -(mean * sure).squeeze(2)).expand(-1, problem.chains, -1)

    def correction(
        self, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P C"]:
        """None: as if the way back were as likely as the way there."""
        return torch.zeros_like(drawn.log_prob[..., 0])


class TiltedExact(_Gradient):
    """Proposals tilted by the gradient at the chain's own text, with the exact acceptance ratio, so that the chains
    sample exp(−β E).

    The way back is proposed by the gradient at y', which costs one more pass of the LM over the old text.

    Args:
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy in the proposals.
        inverse_temperature: β; 1 samples exp(−E).
    """

    law: ClassVar[str] = SuffixMH.law

    def __init__(
        self,
        *,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        spread: Annotated[Number, Field(ge=0)] = 0.5,
        clip: Annotated[float, Field(gt=0)] = 4.0,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(
            strength=strength,
            spread=spread,
            clip=clip,
            temperature=temperature,
            inverse_temperature=inverse_temperature,
        )

    def point(self, problem: Problem, scored: Scored, state: State | None) -> list[Tensor]:
        """Each reward's gradient at the texts `[P, C, M, V]`."""
        return [directions(problem, scored)]

    def tilt(self, problem: Problem, state: State) -> Float[Tensor, "P C V"]:
        (gradient,) = state.compass
        return self._scaled(problem, -(_weights(problem, gradient) @ gradient).squeeze(2))

    def correction(
        self, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P C"]:
        back = self._log_proposal(problem, state, moved, cut)
        return back.sum(-1) - drawn.log_proposal.sum(-1)

    @torch.no_grad()
    def _log_proposal(self, problem: Problem, state: State, origin: State, cut: int) -> Float[Tensor, "P C n"]:
        """log q of the suffix of `state` when it is proposed from `origin`; 0 after the end of text."""
        policy, ids = problem.policy, state.ids
        tilt = self.tilt(problem, origin).flatten(0, 1)
        hidden = policy.predictors(problem.prefix, policy.backbone.embedding(ids))
        p, c, t = ids.shape
        problem.ledger.forward("policy", p * c * (t - 1), policy.body_parameters)
        problem.ledger.forward("policy", p * c * (t - cut), policy.head_parameters)
        columns = []
        for position in range(cut, t):
            log_q = policy.logits(hidden[:, :, position].flatten(0, 1)).log_softmax(-1) / self.temperature
            log_q = log_q + once(tilt, ids[..., :position].flatten(0, 1))
            token = ids[:, :, position].reshape(-1, 1)
            columns.append((log_q.gather(-1, token).squeeze(-1) - log_q.logsumexp(-1)).unflatten(0, (p, c)))
        alive = SoftResponse.from_ids(ids, policy.eos_ids).alive[..., cut:] > 0
        return torch.where(alive, torch.stack(columns, -1), 0.0)


def once(tilt: Float[Tensor, "rows V"], before: Int[Tensor, "rows t"]) -> Float[Tensor, "rows V"]:
    """The tilt, without what favors tokens that are there already: a gradient says what one more of a word does, not
    what ten do, and a constant tilt ends in loops."""
    return tilt.scatter(-1, before, tilt.gather(-1, before).clamp(max=0.0))


def directions(problem: Problem, scored: Scored) -> Float[Tensor, "P C M V"]:
    """The gradient of each reward with respect to each token's probability, averaged over the text's positions."""
    assert scored.slopes is not None
    policy = problem.policy
    # one product of the size of the LM's head per text
    problem.ledger.forward("policy", len(scored.slopes) * scored.length.numel(), policy.head_parameters)
    found = [s.mean(scored.length).over_vocabulary(0, policy.vocab_size) for s in scored.slopes]
    return torch.stack(found, 2)


def _weights(problem: Problem, like: Tensor) -> Float[Tensor, "1 M"]:
    """The weights of now, in the order of `directions`."""
    return like.new_tensor([[problem.clock.value(t.weight) for t in problem.sloped]])
