"""The sampler `args`: decoding guided by the reward, token by token (ARGS, Khanov et al. 2024, arXiv 2402.01694)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.ledger import ROUNDING
from sea_toolkit.core.noise import Noise, draw
from sea_toolkit.lm.kv_cache import buffered_cache
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
from sea_toolkit.samplers.shared.left_to_right import ended, energy_so_far, padded, scoring_cost


@dataclass(frozen=True)
class State:
    """The texts written last `[P, C, T]`, and how many passes there were."""

    ids: Tensor
    passes: int


class Args(Sampler):
    """Each of the policy's `top_k` next tokens is scored by what the text so far would be with it,

        score(v) = w_ref · log π(v | x, y_<t) − E_rewards(x, y_<t v),

    and the best is taken (ARGS-greedy), or one drawn from softmax(score / temperature) (ARGS-stochastic). A step writes
    one whole answer per chain; the best one is kept. Every reward model reads every candidate as text: a pass costs
    `top_k · T / 2` times the scoring of one answer. Where the budget does not pay for that, fewer are scored.

    Args:
        top_k: candidates per token, at most.
        temperature: of the draw among them.
        greedy: the first answer of each prompt's first chain takes the best candidate each time; false draws always.
    """

    state_type = State
    law = Law.none()
    default_chains = 1

    def __init__(
        self,
        *,
        top_k: Annotated[int, Field(gt=0)] = 10,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
        greedy: bool = True,
    ) -> None:
        self.top_k, self.temperature, self.greedy = top_k, temperature, greedy

    def init(self, problem: Problem, noise: Noise) -> tuple[State, Info]:
        start = problem.start(noise)
        return State(start.ids, 0), Info(problem.score_as_text(start.ids, start.log_prob))

    def step(self, problem: Problem, state: State, noise: Noise) -> tuple[State, Info]:
        widths = self._widths(problem)
        uniform = noise.uniform(problem.chains, problem.length)
        ids, log_prob = self.write(problem, uniform, widths, self.greedy and state.passes == 0)
        scored = problem.score_as_text(ids, log_prob)
        new = State(select_chains(problem.stopped, state.ids, ids), state.passes + 1)
        return new, Info(scored, {"width": torch.full_like(scored.energies.total, sum(widths) / len(widths))})

    def first_step_cost(self, problem: Problem) -> float:
        return problem.chains * (1.0 + problem.answer_cost) + problem.run.multipliers.drawn

    def step_cost(self, problem: Problem, state: State, noise: Noise) -> float:
        """A pass that compares candidates at less than half of the tokens is none: answers of the policy are better."""
        widths = self._widths(problem)
        if self.top_k > 1 and 2 * sum(k > 1 for k in widths) < len(widths):
            return float("inf")
        scored = sum(k * self._candidate_cost(problem, t) for t, k in enumerate(widths) if k > 1)
        return problem.chains * problem.answer_cost + scored

    def _widths(self, problem: Problem) -> list[int]:
        """Candidates for each token: `top_k`, or as many as the budget pays for, one more for the first tokens, whose
        short texts cost least. One candidate need not be scored."""
        most, left = min(self.top_k, problem.policy.vocab_size), problem.clock.left
        if left is None:
            return [most] * problem.length
        widths, left = [1] * problem.length, left - problem.chains * problem.answer_cost + ROUNDING
        for k in range(2, most + 1):
            for t in range(problem.length):
                left -= self._candidate_cost(problem, t) * (2 if k == 2 else 1)
                if left < 0:
                    return widths
                widths[t] = k
        return widths

    def _candidate_cost(self, problem: Problem, position: int) -> float:
        """Scoring one more candidate for a token in every chain, in samples."""
        return problem.chains * scoring_cost(problem, [position + 1])

    @torch.no_grad()
    def write(
        self, problem: Problem, uniform: Float[Tensor, "P C T"], widths: Sequence[int], greedy: bool
    ) -> tuple[Int[Tensor, "P C T"], Float[Tensor, "P C T"]]:
        """One answer per chain, and log π of its tokens, each chosen among so many candidates; `greedy` holds for each
        prompt's first chain."""
        policy, prefix, ledger = problem.policy, problem.prefix, problem.ledger
        p, c, length = uniform.shape
        uniform = uniform.to(policy.device)
        cache = buffered_cache(prefix.rows(c), length)
        mask, offset = prefix.mask.repeat_interleave(c, 0), prefix.mask.sum(-1).repeat_interleave(c, 0)
        hidden = prefix.last_hidden.repeat_interleave(c, 0)
        ids = torch.empty(p, c, 0, dtype=torch.long, device=policy.device)
        log_prob = torch.empty(p, c, 0, device=policy.device)
        for t in range(length):
            values, tokens = policy.logits(hidden).log_softmax(-1).unflatten(0, (p, c)).topk(widths[t])
            ledger.decoded()
            ledger.forward("policy", p * c, policy.head_parameters)
            score = values if widths[t] == 1 else self.scores(problem, ids, tokens, values)
            # the best is taken off first, so that no temperature makes all of them infinite
            best = score.amax(-1, keepdim=True)
            pick, drawn = draw(((score - best) / self.temperature).softmax(-1), uniform[..., t])
            if greedy:
                pick[:, 0] = score[:, 0].argmax(-1)
            token, logp = tokens.gather(-1, pick[..., None]), values.gather(-1, pick[..., None])
            logp = logp.where(drawn[..., None], torch.nan)
            over = ended(problem, ids)[..., None]
            ids = torch.cat([ids, token.masked_fill(over | logp.isnan(), policy.eos_ids[0])], -1)
            log_prob = torch.cat([log_prob, logp.masked_fill(over, 0.0)], -1)
            if t == length - 1 or bool(ended(problem, ids).all()):
                break
            seen = torch.nn.functional.pad(mask, (0, t + 1), value=True)
            embeds = policy.backbone.embedding(ids[..., -1].flatten()[:, None])
            hidden = policy.backbone.run(embeds, seen, (offset + t)[:, None], cache)[:, 0]
            ledger.forward("policy", p * c, policy.body_parameters)
        return padded(problem, ids, log_prob)

    def scores(
        self,
        problem: Problem,
        ids: Int[Tensor, "P C t"],
        tokens: Int[Tensor, "P C k"],
        log_prob: Float[Tensor, "P C k"],
    ) -> Float[Tensor, "P C k"]:
        """The score of each candidate. One that no reward can read gets −inf, unless that holds for all of them."""
        p, c, k = tokens.shape
        longer = torch.cat([ids[:, :, None].expand(-1, -1, k, -1), tokens[..., None]], -1)
        reward = -energy_so_far(problem, longer.flatten(1, 2)).unflatten(1, (c, k))
        reward = torch.where(reward.isfinite().any(-1, keepdim=True), reward, 0.0)
        weight = problem.policy_weight(torch.full((p, c), float(longer.shape[-1]), device=tokens.device))
        # 0 · −inf is no number, and a token that the policy cannot write stays impossible
        return torch.where(log_prob.isneginf(), log_prob, weight[..., None] * log_prob) + reward

    def current(self, problem: Problem, state: State) -> Int[Tensor, "P C T"]:
        return state.ids
