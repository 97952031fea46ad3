"""Suffixes that follow a continuous state: one bias of few dimensions per position, added to the policy's logits while
it writes,

    z_t(v) = (log π(v | x, y_<t) + clip(b_t,0 · u_0(v) + Σ_k b_t,k · u_k(v), ±clip)) / temperature

u_0 is the direction in which the rewards get better, from the gradients of the texts met (`RunningMean`), and
u_1 … u_K are coordinates of the policy's own embeddings, so that words of similar meaning move together. All have mean
0 and standard deviation 1 over the vocabulary, so that b is in nats. Straight through softmax, in the geometry of its
own distributions (natural gradient), the slope of the energy with respect to the logits is that with respect to the
token probabilities, and −log π is a spring that pulls b back to 0: the energy's first order has its minimum at
μ = strength · size · e_0, and b follows Langevin dynamics around it, Ornstein and Uhlenbeck's process:

    b ← μ + (1 − η) (b − μ) + sqrt(η (2 − η)) σ ε,      σ² (1 + K) = noise²
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import after_end
from sea_toolkit.lm.decoding import Decoded, LogitsProcessor
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import InitialResponses, Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import select_chains
from sea_toolkit.samplers.shared.proposal import Proposal, ReadsGradient, State
from sea_toolkit.samplers.shared.tilt import TiltedProposal, centered_and_spread, favour_once, token_gradients

COORDINATES = 16
"""K: directions of the embedding space, at most."""


NOT_KNOWN = -1.0
"""−log π per token of the starting texts before the first step."""

RANGE = (0.4, 1.25)
"""How many times the spread of the options it becomes, at least and at most."""

MARGIN = 0.9
"""What new tokens may cost, as a part of what those of the starting texts do: the text that is chosen in the end has a
high reward, and costs more than others."""


@dataclass(frozen=True)
class GuidedProposal(TiltedProposal):
    """The policy, guided by biases that move from text to text, as far as it stays fluent: the spread follows so that
    new tokens cost a little less −log π than those of the texts that the chains started from (Robbins and Monro).

    Its gradient state is that of the memory; then, for each prompt, the logarithm of how many times the spread is
    that of the options, and the −log π per token to be kept, `[P, 1, 2]`; then the biases `[P, C, T, 1 + K]` of
    the chain's own text.

    Attributes:
        noise: standard deviation of the biases' random part over the vocabulary, in nats.
        step_size: η.
        gain: by how much the logarithm of the spread follows a difference of one nat per token.
    """

    noise: Number = 0.0
    step_size: Number = 1.0
    gain: Number = 0.0

    def update_gradient_state(self, problem: Problem, scored: Scored, before: list[Tensor] | None) -> list[Tensor]:
        if before is not None:
            return [*super().update_gradient_state(problem, scored, before[:-2]), *before[-2:]]
        sums, bias = super().update_gradient_state(problem, scored, None), self.no_bias(problem)
        return [*sums, torch.tensor([0.0, NOT_KNOWN], device=bias.device).expand(len(bias), 1, 2), bias]

    def select_gradient_state(
        self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]
    ) -> list[Tensor]:
        return [*accepted[:-1], select_chains(mask, accepted[-1], rejected[-1])]

    def shared(self, gradient_state: list[Tensor]) -> int:
        return len(gradient_state) - 1

    def draw(self, problem: Problem, state: State, cut: int, noise: Noise) -> tuple[Decoded, list[Tensor]]:
        """The biases behind the cut move first; those of the tokens that are kept stay."""
        *sums, pace, bias = state.gradient_state
        moved = [*sums, pace, self.moved(problem, [*sums, pace], bias, cut, noise)]
        drawn = self.write(problem, state, moved, cut, noise)
        return drawn, [*sums, self.paced(problem, pace, state, drawn, cut), moved[-1]]

    def paced(
        self, problem: Problem, pace: Float[Tensor, "P 1 2"], state: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P 1 2"]:
        """A little wider where the new tokens are likelier than those of the starting texts, else narrower.

        A compass may have tilted the starting texts of all chains but the first one.
        """
        times, wanted = pace.unbind(-1)
        plain = slice(1) if any(t.compass is not None for t in problem.guides) else slice(None)
        first, _ = cost_per_token(problem, state.ids[:, plain], state.log_prob[:, plain], 0)
        wanted = torch.where(wanted == NOT_KNOWN, MARGIN * first, wanted)
        cost, count = cost_per_token(problem, torch.cat([state.ids[..., :cut], drawn.ids], -1), drawn.log_prob, cut)
        share = count / (problem.chains * problem.length)
        off = ((wanted - cost) * problem.clock.value(self.gain) * share).nan_to_num(0.0, 0.0, 0.0)
        low, high = map(math.log, RANGE)
        return torch.stack([(times + off).clamp(low, high), wanted], -1)

    def times(self, memory: list[Tensor]) -> Tensor | float:
        """How many times the spread is that of the options, `[P, 1]`."""
        return memory[-1][..., 0].exp() if memory else 1.0

    def moved(
        self, problem: Problem, memory: list[Tensor], bias: Float[Tensor, "P C T B"], cut: int, noise: Noise
    ) -> Float[Tensor, "P C T B"]:
        """One step of the dynamics behind the cut."""
        clock, (_, c, length, width) = problem.clock, bias.shape
        eta, sigma = clock.value(self.step_size), clock.value(self.noise) / width**0.5
        drawn = sigma * (eta * (2.0 - eta)) ** 0.5 * noise.normal(c, length - cut, width)
        center = self.center(problem, memory)[:, :, cut:]
        return torch.cat([bias[:, :, :cut], center + (1.0 - eta) * (bias[:, :, cut:] - center) + drawn], 2)

    def center(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P C T B"]:
        """μ at each position."""
        center = self.no_bias(problem)
        center[..., 0] = self.unit_direction(problem, memory)[1][..., None]
        return center

    def unit_direction(self, problem: Problem, memory: list[Tensor]) -> tuple[Float[Tensor, "P 1 V"], Tensor]:
        """u_0, and the length of μ `[P, 1]`."""
        centered, size = centered_and_spread(-self.direction(problem, memory))
        strength, spread = problem.clock.value(self.strength), problem.clock.value(self.spread)
        widest = torch.as_tensor(spread * self.times(memory), device=size.device)
        return centered / size, torch.minimum(strength * size.squeeze(-1), widest)

    def direction(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P 1 V"]:
        """The change of the weighted energy for one more of each token."""
        return self.memory.direction(problem, memory[:-1])

    def logits_processor(self, problem: Problem, gradient_state: list[Tensor]) -> LogitsProcessor:
        memory, bias = gradient_state[:-1], gradient_state[-1] if gradient_state else self.center(problem, [])
        along = self.unit_direction(problem, memory)[0].expand(-1, problem.chains, -1).flatten(0, 1)
        others, flat = embedding_directions(problem), bias.flatten(0, 1)

        def process(ids: Tensor, log_probs: Tensor, rows: Tensor) -> Tensor:
            b = flat[rows, ids.shape[1]]
            guide = b[:, :1] * along[rows] + b[:, 1:] @ others
            return log_probs + favour_once(guide.clamp(-self.clip, self.clip), ids) / self.temperature

        return process

    def no_bias(self, problem: Problem) -> Float[Tensor, "P C T B"]:
        """Where the policy writes by itself."""
        width = 1 + len(coordinates(problem))
        return torch.zeros(len(problem.prompts), problem.chains, problem.length, width, device=problem.policy.device)


def cost_per_token(
    problem: Problem, ids: Int[Tensor, "P n T"], log_prob: Float[Tensor, "P n t"], cut: int
) -> tuple[Float[Tensor, "P 1"], Float[Tensor, "P 1"]]:
    """−log π of the tokens behind a cut divided by their number, over all texts of a prompt, and the number."""
    count = (~after_end(ids, problem.policy.eos_ids)[..., cut:]).sum((-2, -1)).float()
    return (-log_prob.sum((-2, -1)) / count)[:, None], count[:, None]


def coordinates(problem: Problem) -> range:
    """Those of the policy's embedding that a bias has, evenly spaced."""
    width = problem.policy.table.shape[1]
    return range(0, width, max(1, width // COORDINATES))[:COORDINATES]


def embedding_directions(problem: Problem) -> Float[Tensor, "K V"]:
    """These coordinates of all tokens, with mean 0 and standard deviation 1 over the vocabulary."""
    chosen = coordinates(problem)
    columns = problem.policy.table[:, chosen.start : chosen.stop : chosen.step]
    centered, spread = centered_and_spread(columns.float().T)
    return centered / spread


@dataclass(frozen=True)
class FixedGuide(GuidedProposal):
    """Directions that stay those of the starting texts, so that the way back is known: biases and texts have the law

        N(b; μ, σ²) · exp(−β E(y)),

    because the dynamics keep the Gaussian, and tokens are drawn by the biases with a probability that is in the ratio.
    Its gradient state is the direction `[P, 1, V]`, log p_b of the tokens of the chain's own text `[P, C, T]`, and its
    biases. The chains start with no bias, by which the policy itself would have written their texts.
    """

    reads_gradient: ReadsGradient = "start"

    def start(self, problem: Problem, noise: Noise) -> InitialResponses:
        return Proposal.start(self, problem, noise)  # by the policy alone: biases begin at 0

    def update_gradient_state(self, problem: Problem, scored: Scored, before: list[Tensor] | None) -> list[Tensor]:
        if before is not None:
            return before
        met = self.memory.update(token_gradients(problem, scored), None)
        bias = self.no_bias(problem)
        return [self.memory.direction(problem, met), torch.zeros_like(bias[..., 0]), bias]

    def select_gradient_state(
        self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]
    ) -> list[Tensor]:
        return [accepted[0], *select_chains(mask, accepted[1:], rejected[1:])]

    def shared(self, gradient_state: list[Tensor]) -> int:
        return 1

    def draw(self, problem: Problem, state: State, cut: int, noise: Noise) -> tuple[Decoded, list[Tensor]]:
        direction, log_q, bias = state.gradient_state
        moved = self.moved(problem, [direction], bias, cut, noise)
        drawn = self.write(problem, state, [direction, log_q, moved], cut, noise)
        return drawn, [direction, torch.cat([log_q[..., :cut], drawn.log_proposal], -1), moved]

    def times(self, memory: list[Tensor]) -> Tensor | float:
        return 1.0

    def direction(self, problem: Problem, memory: list[Tensor]) -> Float[Tensor, "P 1 V"]:
        return memory[0]

    def gradient_flops(self, problem: Problem) -> float:
        return 0.0

    def flops_back(self, problem: Problem, cut: int) -> float:
        return 0.0

    def log_prob_back(self, problem: Problem, state: State, moved: State, cut: int) -> Float[Tensor, "P C n"]:
        """By the biases under which the old text was written: no pass is needed."""
        _, log_q, bias = state.gradient_state
        by_policy = (bias == 0).all(-1)  # of the starting texts
        return torch.where(by_policy, state.log_prob, log_q)[..., cut:]
