"""The sampler `suffix-mh`: resample a suffix from the policy, accept or reject (QAlign, Faria et al. 2025, arXiv
2504.03790; QUEST, Faria et al. 2024, arXiv 2406.00049)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.decoding import Decoded, Shape, decode
from sea_toolkit.lm.kv_cache import KeysValues
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored
from sea_toolkit.registry.options import Number
from sea_toolkit.samplers.base import Info


@dataclass(frozen=True)
class State:
    """Where the chains are.

    Attributes:
        ids, log_prob: `[P, C, T]`, the responses and log π of their tokens.
        values: `[P, C, M]`, the text's unweighted terms: weights may move while the chain stays.
        compass: what the next proposal is tilted by, see `Tilted`; empty without a tilt.
        layers: keys and values of the response tokens but the last, per layer of the policy.
    """

    ids: Tensor
    log_prob: Tensor
    values: Tensor
    compass: list[Tensor]
    layers: KeysValues


class SuffixMH:
    """Propose: keep a prefix of random length, draw the rest from the policy. Accept with probability
    `min(1, exp(β · (E(y) − E(y')) + log q(y|y') − log q(y'|y)))`, where q is the policy on the suffix.

    Args:
        inverse_temperature: β; 1 samples exp(−E), larger values search.
    """

    state_type: ClassVar[type] = State
    law: ClassVar[str] = "exp(−inverse_temperature · E(x, y)) over responses of at most the run's length, exactly"
    needs_gradient: ClassVar[bool] = False
    default_chains: ClassVar[int] = 4
    default_steps: ClassVar[int | None] = None
    default_budget: ClassVar[float | None] = 32
    default_relaxation: ClassVar[dict[str, Any] | None] = None
    uses_slope: ClassVar[bool] = False
    shares_compass: ClassVar[bool] = False
    cut_power: ClassVar[float] = 1.0
    temperature: float = 1.0

    def __init__(self, *, inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0) -> None:
        self.inverse_temperature = inverse_temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise, keep_cache=True)
        log_prob = start.log_prob
        if log_prob is None:  # an initializer that writes without the policy
            alive = SoftResponse.from_ids(start.ids, problem.policy.eos_ids).alive > 0
            log_prob = torch.where(alive, problem.policy.log_prob(problem.prefix, start.ids), 0.0)
            params = problem.policy.body_parameters + problem.policy.head_parameters
            problem.ledger.forward("policy", start.ids.numel(), params)
        scored = problem.rescore(start.ids, log_prob, slope=self.uses_slope)
        layers = start.layers if start.layers is not None else problem.read(start.ids)
        compass = self.point(problem, scored, None)
        return State(start.ids, log_prob, scored.energies.values(), compass, layers), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        if problem.drifts:
            again = problem.rescore(state.ids, state.log_prob, slope=self.uses_slope)
            state = replace(state, values=again.energies.values(), compass=self.point(problem, again, state))
        length = problem.length
        cut = min(length - 1, int(noise.common_uniform() ** self.cut_power * length))
        uniform = noise.uniform(problem.chains, length - cut)
        shape = self.proposal(problem, state)
        drawn = decode(
            problem.policy, problem.prefix, uniform, start=state.ids[..., :cut], past=state.layers,
            shape=shape, temperature=self.temperature, keep_cache=True, ledger=problem.ledger,
        )  # fmt: skip
        ids = torch.cat([state.ids[..., :cut], drawn.ids], -1)
        log_prob = torch.cat([state.log_prob[..., :cut], drawn.log_prob], -1)
        scored = problem.rescore(ids, log_prob, slope=self.uses_slope)
        beta = problem.clock.value(self.inverse_temperature)
        assert drawn.layers is not None
        moved = State(ids, log_prob, scored.energies.values(), self.point(problem, scored, state), drawn.layers)
        energy, there = problem.weigh(state.values), scored.energies.total
        log_ratio = beta * (energy - there) + self.correction(problem, state, moved, drawn, cut)
        # a chain at an energy of +inf takes anything finite; one that would go there stays
        log_ratio = log_ratio.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        accept = (noise.uniform(problem.chains).to(log_ratio.device).log() < log_ratio) & there.isfinite()
        accept &= ~problem.stopped
        rate = torch.where(problem.stopped, 0.0, log_ratio.clamp(max=0.0).exp())
        changed = (ids != state.ids).any(-1)
        metrics = {
            "acceptance": rate, "accepted": accept.float(), "changed": changed.float(),
            "cut": torch.full_like(rate, cut), "chain_energy": torch.where(accept, there, energy),
        }  # fmt: skip
        return self._select(accept, state, moved), Info(scored, metrics)

    def point(self, problem: Problem, scored: Scored, state: State | None) -> list[Tensor]:
        """The compass that goes with texts just scored, `state` being where they were proposed: none."""
        return []

    def proposal(self, problem: Problem, state: State) -> Shape | None:
        """How the policy's distribution is changed for the proposal: not at all."""
        return None

    def correction(
        self, problem: Problem, state: State, moved: State, drawn: Decoded, cut: int
    ) -> Float[Tensor, "P C"]:
        """log q(y|y') − log q(y'|y) of the suffixes."""
        return state.log_prob[..., cut:].sum(-1) - drawn.log_proposal.sum(-1)

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids

    def _select(self, accept: Bool[Tensor, "P C"], state: State, moved: State) -> State:
        def pick(old: Tensor, new: Tensor) -> Tensor:
            return torch.where(accept.reshape(*accept.shape, *[1] * (new.ndim - 2)), new, old)

        rows = accept.flatten()[:, None, None, None]
        layers = [
            (torch.where(rows, k, a), torch.where(rows, v, b))
            for (a, b), (k, v) in zip(state.layers, moved.layers, strict=True)
        ]
        return State(
            pick(state.ids, moved.ids),
            pick(state.log_prob, moved.log_prob),
            pick(state.values, moved.values),
            moved.compass
            if self.shares_compass
            else [pick(a, b) for a, b in zip(state.compass, moved.compass, strict=True)],
            layers,
        )
