"""Suffixes proposed by the policy, tilted by the rewards' gradient:

    q(v | y_<t) ∝ π(v | x, y_<t)^(1/temperature) · exp(clip(scale · g(v), ±clip)),      g(v) = −mean_t ∂R/∂p_t(v)

with R the weighted energy without −log π. A word is favored once in a text. No gradient runs through the LM, and each
proposal is written by the LM token by token, so that it stays fluent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import LogitsProcessor, decode
from sea_toolkit.problem.compass import MOST_TEXTS
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import InitialResponses, Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import select_chains
from sea_toolkit.samplers.shared.proposal import Proposal, ReadsGradient, State, flops_of_pass, log_proposal


class GradientMemory(ABC):
    """Which gradients a chain is tilted by.

    Attributes:
        shared: all chains of a prompt have one memory.
    """

    shared: ClassVar[bool] = False

    @abstractmethod
    def update(self, gradients: Float[Tensor, "P C M V"], before: list[Tensor] | None) -> list[Tensor]:
        """The memory after texts with these gradients; `before` is that of the texts they were proposed from."""

    @abstractmethod
    def select(self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]) -> list[Tensor]:
        """The memory of each chain after the acceptance test."""

    @abstractmethod
    def direction(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P C V"]:
        """The change of the weighted energy for one more of each token; one row may serve all chains of a prompt."""


class CurrentGradient(GradientMemory):
    """The gradients at the chain's own text, `[P, C, M, V]`: the proposal depends on the text alone."""

    def update(self, gradients: Float[Tensor, "P C M V"], before: list[Tensor] | None) -> list[Tensor]:
        return [gradients]

    def select(self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]) -> list[Tensor]:
        return select_chains(mask, accepted, rejected)

    def direction(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P C V"]:
        (gradients,) = memory
        return (weights_now(problem) @ gradients).squeeze(2)


@dataclass(frozen=True)
class RunningMean(GradientMemory):
    """The mean over all texts met for a prompt, accepted or not, whatever chain met them.

    The gradient at one position of one text is mostly noise; its mean over the positions, and over the texts met so
    far, tells which words the rewards like. The memory is the sum over the texts of each reward's gradient and of its
    square `[P, 1, M, V]`, and how many texts there were; it is empty before the first. A reward's compass counts as
    texts that were met before.

    Attributes:
        compass_texts: how many these are at most.
    """

    shared = True
    compass_texts: float = MOST_TEXTS

    def update(self, gradients: Float[Tensor, "P C M V"], before: list[Tensor] | None) -> list[Tensor]:
        count = gradients.new_full((gradients.shape[0], 1, 1, 1), gradients.shape[1])
        sums = [gradients.sum(1, keepdim=True), gradients.square().sum(1, keepdim=True), count]
        return sums if before is None else [a + b for a, b in zip(before, sums, strict=True)]

    def select(self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]) -> list[Tensor]:
        return accepted

    def direction(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P 1 V"]:
        """A token's mean gradient counts as far as it stands out from its standard error (Wiener's filter)."""
        total, square, count = self._with_compasses(problem, memory)
        mean = total / count.clamp(min=1)
        error = (square / count.clamp(min=1) - mean.square()).clamp(min=0) / (count - 1).clamp(min=1)
        weights = torch.stack([problem.weight(t) for t in problem.guides], -1)[:, None]
        mean, error = weights @ mean, weights.square() @ error
        power = mean.square()
        sure = power / (power + error).clamp(min=torch.finfo(power.dtype).tiny)
        return (mean * sure).squeeze(2)

    def _with_compasses(self, problem: Problem, memory: list[Tensor]) -> list[Tensor]:
        """The sums of all `problem.guides`: of the texts that were met, and of what their compasses stand for."""
        p, v = len(problem.prompts), problem.policy.vocab_size
        met = [t.label for t in problem.differentiable_rewards]
        nothing = torch.zeros(p, 1, 1, v, device=problem.policy.device)
        columns: list[list[Tensor]] = []
        for term in problem.guides:
            sums = [nothing, nothing, nothing[..., :1]]
            if memory and term.label in met:
                place = met.index(term.label)
                sums = [memory[0][:, :, place, None], memory[1][:, :, place, None], memory[2]]
            if term.compass is not None:
                total, square, count = term.compass.sums(self.compass_texts)
                sums = [sums[0] + total, sums[1] + square, sums[2] + count]
            columns.append(sums)
        return [torch.cat(parts, 2) for parts in zip(*columns, strict=True)]


@dataclass(frozen=True)
class TiltedProposal(Proposal):
    """The policy tilted by remembered gradients.

    Attributes:
        memory: which gradients.
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy.
    """

    memory: GradientMemory
    strength: Number
    spread: Number
    clip: float
    temperature: float
    cut_power: float = 2.0
    reads_gradient: ReadsGradient = "all"

    def update_gradient_state(self, problem: Problem, scored: Scored, before: list[Tensor] | None) -> list[Tensor]:
        return self.memory.update(token_gradients(problem, scored), before)

    def select_gradient_state(
        self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]
    ) -> list[Tensor]:
        return self.memory.select(mask, accepted, rejected)

    def shared(self, gradient_state: list[Tensor]) -> int:
        return len(gradient_state) if self.memory.shared else 0

    def start(self, problem: Problem, noise: Noise) -> InitialResponses:
        """All chains but the first one start from tilted answers, where that can be: see `tilts_start`."""
        if not self.tilts_start(problem):
            return super().start(problem, noise)
        drawn = decode(
            problem.policy,
            problem.prefix,
            noise.uniform(problem.chains, problem.length),
            logits_processor=self._start_processor(problem),
            keep_cache=True,
            ledger=problem.ledger,
        )
        return InitialResponses(drawn.ids, drawn.log_prob, drawn.layers)

    def tilts_start(self, problem: Problem) -> bool:
        """Whether a compass tells the memory a direction before the first text, and the chains would start from samples
        of the policy that nothing has to be measured on."""
        run = problem.run
        measured = bool(run.weighing.missing(problem.terms)) or run.multipliers.waits(problem.terms)
        known = self.memory.shared and any(t.compass is not None for t in problem.guides)
        return known and not measured and problem.initializer.draws_policy

    def _start_processor(self, problem: Problem) -> LogitsProcessor:
        """Leaves the first chain of each prompt to the policy."""
        tilted = self.logits_processor(problem, [])
        first = torch.arange(len(problem.prompts) * problem.chains, device=problem.policy.device) % problem.chains == 0

        def process(ids: Tensor, log_probs: Tensor, rows: Tensor) -> Tensor:
            moved = tilted(ids, log_probs / self.temperature, rows)
            return torch.where(first[rows, None], log_probs, moved)

        return process

    def logits_processor(self, problem: Problem, gradient_state: list[Tensor]) -> LogitsProcessor:
        tilt = self.tilt(problem, gradient_state).flatten(0, 1)

        def process(ids: Tensor, log_probs: Tensor, rows: Tensor) -> Tensor:
            return log_probs + favour_once(tilt[rows], ids)

        return process

    def tilt(self, problem: Problem, gradient_state: list[Tensor]) -> Float[Tensor, "P C V"]:
        """What is added to the policy's log-probabilities: `strength` times the gradient, or less where the spread over
        the vocabulary would be too large."""
        centered, size = centered_and_spread(-self.memory.direction(problem, gradient_state))
        strength, spread = problem.clock.value(self.strength), problem.clock.value(self.spread)
        scaled = (centered * (spread / size).clamp(max=strength)).clamp(-self.clip, self.clip)
        return scaled.expand(-1, problem.chains, -1)

    def gradient_flops(self, problem: Problem) -> float:
        """A backward pass through each reward, and a product of the size of the LM's head: see `token_gradients`."""
        terms, tokens = problem.differentiable_rewards, problem.length + len(problem.locked or ())
        backward = sum(t.meter.flops_back for t in terms)
        return tokens * backward + 2.0 * len(terms) * problem.policy.head_parameters

    def flops_back(self, problem: Problem, cut: int) -> float:
        return flops_of_pass(problem, cut)

    def log_prob_back(self, problem: Problem, state: State, moved: State, cut: int) -> Float[Tensor, "P C n"]:
        """One more pass of the LM over the old text, tilted by the gradients at the new one."""
        process = self.logits_processor(problem, moved.gradient_state)
        return log_proposal(problem, state.ids, cut, self.temperature, process)


def centered_and_spread(values: Float[Tensor, "*rows V"]) -> tuple[Float[Tensor, "*rows V"], Float[Tensor, "*rows 1"]]:
    """What is said of each token less its mean over the vocabulary, and its standard deviation there, above 0."""
    centered = values - values.mean(-1, keepdim=True)
    return centered, centered.std(-1, keepdim=True, correction=0).clamp(min=torch.finfo(centered.dtype).tiny)


def favour_once(tilt: Float[Tensor, "rows V"], ids: Int[Tensor, "rows t"]) -> Float[Tensor, "rows V"]:
    """The tilt, but without favoring tokens that `ids` already contains: a gradient describes one more occurrence of a
    word, not ten, and a constant tilt ends in loops."""
    return tilt.scatter(-1, ids, tilt.gather(-1, ids).clamp(max=0.0))


STEEPEST = 1e12
"""Largest slope that counts, in nats: a tilt is scaled to its spread, and the square of a larger one may overflow."""


def token_gradients(problem: Problem, scored: Scored) -> Float[Tensor, "P C M V"]:
    """The gradient of each reward with respect to each token's probability, averaged over the text's positions; at most
    `STEEPEST` in size."""
    assert scored.token_gradients is not None
    policy = problem.policy
    # one product of the size of the LM's head per text
    problem.ledger.forward("policy", len(scored.token_gradients) * scored.length.numel(), policy.head_parameters)
    means = [s.mean(scored.length).over_vocabulary(0, policy.vocab_size) for s in scored.token_gradients]
    if not means:
        return torch.zeros(*scored.length.shape, 0, policy.vocab_size, device=policy.device)
    return torch.stack(means, 2).clamp(-STEEPEST, STEEPEST)


def weights_now(problem: Problem) -> Float[Tensor, "P 1 1 M"]:
    """The rewards' weights as they are now, in the order of `token_gradients`."""
    return torch.stack([problem.weight(t) for t in problem.differentiable_rewards], -1)[:, None]
