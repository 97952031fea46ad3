"""The sampler `smc`: conditional sequential Monte Carlo (particle Gibbs; Andrieu, Doucet and Holenstein 2010) on
prefixes, with a twist (Zhao et al. 2024, arXiv 2404.17546; Lew et al. 2023, arXiv 2306.03081) and tilted proposals.

Particles are drawn from the tilted policy q chunk by chunk, and weighted by γ_t / q_t towards

    γ_t(y_≤t) ∝ π(y_≤t | x)^(β w_ref) · exp(−β · twist · V_t(y_≤t)),    in the end exp(−β E(x, y)),

with V_t the rewards' energy that an answer is expected to have, given its first t tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import LogitsProcessor
from sea_toolkit.lm.kv_cache import KeysValues, take_rows
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.left_to_right import ends_of, value_so_far, weighted_log_prob
from sea_toolkit.samplers.shared.particles import Drawn, Particles, Path
from sea_toolkit.samplers.shared.passes import Pass, Planner, Prices
from sea_toolkit.samplers.shared.proposal import log_proposal
from sea_toolkit.samplers.shared.resampling import drawn_by_weight, effective, normalized
from sea_toolkit.samplers.shared.surrogate import Surrogate, met_with
from sea_toolkit.samplers.shared.tilt import RunningMean, TiltedProposal, favour_once

CHUNKS = 8
"""Into which an answer is divided where no number of tokens is given."""


@dataclass(frozen=True)
class State:
    """The text that each chain keeps, and what is known of the rewards.

    Attributes:
        ids, log_prob: `[P, C, T]`, the responses and log π of their tokens.
        values: `[P, C, M]`, the text's unweighted terms: weights may move while the chain stays.
        layers: keys and values of the response tokens but the last, per layer of the policy.
        gradient_state: the gradients met, see `RunningMean`; empty if none is read.
        met: the texts met, see `met_with`; empty if there is no surrogate.
        passes: how many there were.
    """

    ids: Tensor
    log_prob: Tensor
    values: Tensor
    layers: KeysValues
    gradient_state: list[Tensor]
    met: list[Tensor]
    passes: int


class Smc(Sampler):
    """A step is one pass from the first token to the last. Each chain keeps its text as one particle and draws others
    beside it from the policy, tilted by the gradients of all texts met for the prompt, as in `tilted`. After each chunk
    all are weighted, and where the weights are uneven the new ones become copies of particles drawn by weight, the kept
    one among them. In the end each chain draws by weight the text that it keeps; the best text of all passes is the
    answer.

    A budget is spent on few passes with many particles. Where no compass tells the direction, a first pass of a few
    texts finds it.

    Args:
        particles: drawn in a pass by each chain, at most.
        scouts: drawn in the first pass by each chain, at most, if there is a direction to be found.
        chunk: tokens drawn between two weightings; an eighth of the answer's length if none are given.
        value: of an unfinished text; `reward` reads it by the rewards, `surrogate` predicts it from the texts met.
        twist: how much of that value counts; 0 weighs whole answers only.
        ess: part of the particles that is left as effective sample size where weights are uneven; 0: no resampling.
        strength: largest multiple of the energy's first-order change that tilts a token's log-probability.
        spread: largest standard deviation of the tilt over the vocabulary, in nats.
        clip: largest tilt of one token, in nats.
        temperature: of the policy where it is tilted; below 1 it writes more fluently.
        inverse_temperature: β; 1 samples exp(−E), larger values search.
    """

    state_type = State
    law = Law.limit("as particles → ∞", beta="inverse_temperature")
    default_chains = 1

    def __init__(
        self,
        *,
        particles: Annotated[int, Field(gt=0)] = 32,
        scouts: Annotated[int, Field(gt=0)] = 4,
        chunk: Annotated[int, Field(gt=0)] | None = None,
        value: Literal["reward", "surrogate"] = "reward",
        twist: Annotated[Number, Field(ge=0)] = 1.0,
        ess: Annotated[float, Field(ge=0, le=1)] = 0.5,
        strength: Annotated[Number, Field(ge=0)] = 4.0,
        spread: Annotated[Number, Field(ge=0)] = 1.5,
        clip: Annotated[float, Field(gt=0)] = 8.0,
        temperature: Annotated[float, Field(gt=0)] = 0.8,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        self.particles, self.scouts, self.chunk = particles, scouts, chunk
        self.value, self.twist, self.ess = value, twist, ess
        self.proposal = TiltedProposal(RunningMean(), strength, spread, clip, temperature)
        self.inverse_temperature = inverse_temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = self.proposal.start(problem, noise)
        scored = problem.score_as_text(start.ids, start.log_prob, gradients=bool(problem.differentiable_rewards))
        assert start.layers is not None
        state = State(start.ids, start.log_prob, scored.energies.values(), start.layers, [], [], 0)
        return self._learned(problem, state, scored, start.layers), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        ends, now = ends_of(problem.length, self._chunk(problem)), self._next_pass(problem, state.passes)
        beta, surrogate = problem.clock.value(self.inverse_temperature), self._surrogate(problem, state)
        temperature = self.proposal.temperature if problem.guides else 1.0
        kept = self._kept(problem, state, temperature)
        process = self._processor(problem, state, problem.chains * now.drawn)
        particles = Particles.begin(problem, kept, now.drawn, noise, process, temperature)
        turns = noise.uniform(len(ends), problem.chains, 2).to(problem.policy.device)
        for i, end in enumerate(ends[:-1] if now.reads and problem.clock.value(self.twist) else []):
            particles.draw(end)
            layers = particles.all_layers
            particles.resample(
                self.level(problem, particles.all, layers, surrogate, beta), layers, self.ess, turns[:, i]
            )
        new, layers = particles.draw(problem.length)
        ids, log_prob = new.ids.flatten(1, 2), new.log_prob.flatten(1, 2)
        scored = problem.score_as_text(ids, log_prob, gradients=now.learns)
        energy = scored.energies.total.unflatten(1, new.ids.shape[1:3])
        energy = torch.cat([self._energy_kept(problem, state)[..., None], energy], 2)
        weights = normalized(-beta * energy - particles.all.log_proposal.sum(-1) - particles.counted)
        at = drawn_by_weight(weights, turns[:, -1, :, :1])
        changed = (at[..., 0] > 0) & energy.isfinite().any(-1) & ~problem.stopped
        moved = self._moved((at - 1).clamp(min=0), new, scored, layers)
        after = select_chains(changed, moved, replace(state, gradient_state=[], met=[]))
        after = replace(after, gradient_state=state.gradient_state, met=state.met, passes=state.passes + 1)
        metrics = {
            "width": torch.full_like(energy[..., 0], now.drawn),
            "ess": effective(weights).float(),
            "resampled": particles.resampled,
            "changed": changed.float(),
        }
        return self._learned(problem, after, scored, layers), Info(scored, metrics)

    def level(
        self, problem: Problem, texts: Drawn, layers: KeysValues, surrogate: Surrogate | None, beta: float
    ) -> Float[Tensor, "P C N"]:
        """log γ_t − log q of unfinished texts."""
        ids, log_prob = texts.ids.flatten(1, 2), texts.log_prob.flatten(1, 2)
        value = value_so_far(problem, ids) if surrogate is None else surrogate.value(problem, ids, layers)
        gamma = weighted_log_prob(problem, ids, log_prob) - problem.clock.value(self.twist) * value
        return beta * gamma.unflatten(1, texts.ids.shape[1:3]) - texts.log_proposal.sum(-1)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    def first_step_cost(self, problem: Problem) -> float:
        """The starting texts, and a pass of one particle."""
        gradient = self.proposal.gradient_flops(problem) / problem.sample_flops
        first = self._prices(problem).cost(Pass(1, True, False))
        return problem.chains * (1.0 + gradient + first) + problem.run.multipliers.drawn

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        return problem.chains * self._prices(problem).cost(self._next_pass(problem, state.passes))

    def _chunk(self, problem: Problem) -> int:
        """By default such that beginnings cost 3.5 scorings of an answer, however long it is."""
        return self.chunk or math.ceil(problem.length / CHUNKS)

    def _prices(self, problem: Problem) -> Prices:
        read = self.value == "reward" and bool(problem.clock.value(self.twist))
        gradient_flops = self.proposal.gradient_flops(problem)
        return Prices.of(problem, self._chunk(problem), read=read, gradient_flops=gradient_flops)

    def _next_pass(self, problem: Problem, passes: int) -> Pass:
        scouted = self.value == "surrogate" or any(term.compass is None for term in problem.guides)
        learns = bool(problem.differentiable_rewards)
        planner = Planner(self._prices(problem), self.scouts, self.particles, scouted, learns)
        budget, left, chains = problem.clock.budget, problem.clock.left, problem.chains
        if budget is None or left is None:
            return planner.next(None, None, passes)
        return planner.next(budget / chains, left / chains, passes)

    def _processor(self, problem: Problem, state: State, rows_per_prompt: int) -> LogitsProcessor | None:
        """Tilts the policy, in so many rows for each prompt; None where nothing tells a direction."""
        if not problem.guides:
            return None
        tilt = self.proposal.tilt(problem, state.gradient_state)[:, 0]
        return lambda ids, log_probs, rows: log_probs + favour_once(tilt[rows // rows_per_prompt], ids)

    def _kept(self, problem: Problem, state: State, temperature: float) -> Path:
        """The kept texts as particles: where q is not π, log q takes one pass of the policy over them."""
        process = self._processor(problem, state, problem.chains)
        log_q = state.log_prob if process is None else log_proposal(problem, state.ids, 0, temperature, process)
        return Path(Drawn(state.ids[:, :, None], state.log_prob[:, :, None], log_q[:, :, None]), state.layers)

    def _energy_kept(self, problem: Problem, state: State) -> Float[Tensor, "P C"]:
        if problem.is_time_dependent:
            return problem.score_as_text(state.ids, state.log_prob).energies.total
        return problem.total_energy(state.values)

    @staticmethod
    def _moved(at: Int[Tensor, "P C 1"], new: Drawn, scored: Scored, layers: KeysValues) -> State:
        """The state of chains that keep one of the new texts."""
        text, values = new.take(at), scored.energies.values().unflatten(1, new.ids.shape[1:3])
        values = values.gather(2, at[..., None].expand(-1, -1, -1, values.shape[-1]))
        rows = take_rows(layers, at, new.ids.shape[2])
        return State(text.ids[:, :, 0], text.log_prob[:, :, 0], values[:, :, 0], rows, [], [], 0)

    def _learned(self, problem: Problem, state: State, scored: Scored, layers: KeysValues) -> State:
        """The state with what new texts tell of the rewards."""
        gradients, met = state.gradient_state, state.met
        if scored.token_gradients:
            gradients = self.proposal.update_gradient_state(problem, scored, gradients or None)
        if self.value == "surrogate":
            met = met_with(problem, met, scored, layers)
        return replace(state, gradient_state=gradients, met=met)

    def _surrogate(self, problem: Problem, state: State) -> Surrogate | None:
        if self.value == "reward":
            return None
        words = self.proposal.memory.direction(problem, state.gradient_state)[:, 0] if problem.guides else None
        return Surrogate.fit(problem, state.met, words)
