"""The sampler `tempering`: replica exchange (parallel tempering) over texts.

Each chain is a ladder of R replicas. With U(y) = b E(y) + log pi(y), what the energy asks for beyond the policy,
replica r follows

    pi(y | x) · exp(-beta_r U(y)),    0 = beta_1 < … < beta_R = 1:

the first one is the policy itself, the last one exp(-b E). All rewrite the end of their text with the policy, as
`suffix-mh` does; then neighbors on the ladder trade texts. What the policy finds freely climbs to where it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sea_toolkit import Info, Law, Noise, Number, Problem, Sampler, decode, metropolis, select_chains


@dataclass(frozen=True)
class State:
    """All replicas; column c · R + r is replica r of chain c, the last of each chain the one that counts.

    Attributes:
        ids, log_prob: `[P, C·R, T]`, the texts and log pi of their tokens.
        values: `[P, C·R, M]`, the unweighted terms of each text: weights may change while a text stays.
        layers: keys and values of all tokens but the last, per layer of the policy; rows P·C·R.
        turn: steps taken; even and odd pairs of the ladder take turns.
    """

    ids: Tensor
    log_prob: Tensor
    values: Tensor
    layers: list[tuple[Tensor, Tensor]]
    turn: int


class Tempering(Sampler):
    """A ladder of replicas from the policy to the energy; each rewrites suffixes, and neighbors trade texts.

    Args:
        replicas: R; each costs as much as a chain of `suffix-mh`. More of them trade more often.
        inverse_temperature: b; 1 samples exp(-E), larger values search.
    """

    state_type = State
    law = Law.target(beta="inverse_temperature")
    reads_budget = "never"
    default_chains = 1

    def __init__(
        self,
        *,
        replicas: Annotated[int, Field(ge=2)] = 4,
        inverse_temperature: Annotated[Number, Field(gt=0)] = 1.0,
    ) -> None:
        self.replicas, self.inverse_temperature = replicas, inverse_temperature

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        """All replicas of a chain begin with its starting text."""
        start = problem.start(noise)
        scored = problem.score_as_text(start.ids, start.log_prob)
        ids, logs, values = (
            value.repeat_interleave(self.replicas, 1) for value in (start.ids, start.log_prob, scored.energies.values())
        )
        rows = [
            (k.repeat_interleave(self.replicas, 0), v.repeat_interleave(self.replicas, 0))
            for k, v in problem.response_cache(start.ids)
        ]
        return State(ids, logs, values, rows, 0), Info(scored)

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        """A new suffix for every replica, then a trade between neighbors on the ladder."""
        if problem.is_time_dependent:  # an option of a term follows a schedule: the same text costs something else now
            state = replace(state, values=problem.score_as_text(state.ids, state.log_prob).energies.values())
        n, length = problem.chains * self.replicas, problem.length
        beta = torch.linspace(0.0, 1.0, self.replicas, device=state.ids.device)
        ladder = beta.repeat(problem.chains)
        inverse = problem.clock.value(self.inverse_temperature)
        cut = min(length - 1, int(noise.common_uniform() * length))
        drawn = decode(
            problem.policy, problem.prefix, noise.uniform(n, length - cut), start=state.ids[..., :cut],
            past=state.layers, keep_cache=True, ledger=problem.ledger,
        )  # fmt: skip
        assert drawn.layers is not None
        ids = torch.cat([state.ids[..., :cut], drawn.ids], -1)
        log_prob = torch.cat([state.log_prob[..., :cut], drawn.log_prob], -1)
        scored = problem.score_as_text(ids, log_prob)
        new = State(ids, log_prob, scored.energies.values(), drawn.layers, state.turn + 1)
        # the policy proposes, so that only what the energy asks for beyond it decides
        log_ratio = ladder * (excess(problem, state, inverse) - excess(problem, new, inverse))
        # a replica at an energy of +inf takes anything finite, on the lowest rung too, where 0 · inf is no number
        log_ratio = log_ratio.masked_fill(~problem.total_energy(state.values).isfinite(), torch.inf)
        stopped = problem.stopped.repeat_interleave(self.replicas, 1)
        accepted = metropolis(noise, log_ratio, scored.energies.total, stopped)
        moved = select_chains(accepted.mask, new, state)
        source = self.traded(problem, moved, inverse, beta, noise)
        traded = (source != torch.arange(n, device=source.device)).float()
        metrics = {"accepted": accepted.mask.float(), "traded": traded}
        by_chain = {k: v.reshape(-1, problem.chains, self.replicas).mean(-1) for k, v in metrics.items()}
        return _taken(moved, source), Info(scored, by_chain)

    def traded(self, problem: Problem, state: State, inverse: float, beta: Tensor, noise: Noise) -> Tensor:
        """Which column each replica's text comes from after the trades of this step, `[P, C·R]`."""
        n, r = problem.chains * self.replicas, self.replicas
        cost = excess(problem, state, inverse).reshape(-1, problem.chains, r)
        uniform = noise.uniform(problem.chains, r).to(cost.device).log()
        source = torch.arange(n, device=cost.device).expand(cost.shape[0], n).clone()
        order = source.view(cost.shape[0], -1, r)
        for low in range(state.turn % 2, r - 1, 2):
            log_ratio = (beta[low] - beta[low + 1]) * (cost[..., low] - cost[..., low + 1])
            trade = (uniform[..., low] < log_ratio) & ~problem.stopped
            pair = order[..., low : low + 2]
            order[..., low : low + 2] = torch.where(trade[..., None], pair.flip(-1), pair)
        return source

    def current(self, problem: Problem, state: State) -> Tensor:
        """The texts at the upper end of the ladders, `[P, C, T]`."""
        return state.ids[:, self.replicas - 1 :: self.replicas]


def excess(problem: Problem, state: State, inverse: float) -> Tensor:
    """U = b E + log pi of every replica's text: what its place on the ladder weighs."""
    return inverse * problem.total_energy(state.values) + state.log_prob.sum(-1)


def _taken(state: State, source: Tensor) -> State:
    """Every column from where `source` says."""
    p, n = source.shape
    wide = source[..., None]
    flat = (source + n * torch.arange(p, device=source.device)[:, None]).flatten()
    return State(
        ids=state.ids.gather(1, wide.expand_as(state.ids)),
        log_prob=state.log_prob.gather(1, wide.expand_as(state.log_prob)),
        values=state.values.gather(1, wide.expand_as(state.values)),
        layers=[(k[flat], v[flat]) for k, v in state.layers],
        turn=state.turn,
    )
