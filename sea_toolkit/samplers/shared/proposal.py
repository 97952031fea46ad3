"""How suffixes are proposed: from the policy, or from something made of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import after_end
from sea_toolkit.lm.decoding import Decoded, LogitsProcessor, decode
from sea_toolkit.lm.kv_cache import KeysValues, take_rows
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import InitialResponses, Scored
from sea_toolkit.samplers.base import select_chains


@dataclass(frozen=True)
class State:
    """Where the chains are.

    Attributes:
        ids, log_prob: `[P, C, T]`, the responses and log π of their tokens.
        values: `[P, C, M]`, the text's unweighted terms: weights may move while the chain stays.
        gradient_state: what the proposal knows of the gradients, see `Proposal`; empty if it reads none.
        layers: keys and values of the response tokens but the last, per layer of the policy.
    """

    ids: Tensor
    log_prob: Tensor
    values: Tensor
    gradient_state: list[Tensor]
    layers: KeysValues


ReadsGradient = Literal["none", "start", "all"]
"""Of no texts, of the starting texts alone, or of every text."""


class Proposal(ABC):
    """How a suffix is drawn; the policy on the suffix, or something made of it.

    Attributes:
        reads_gradient: of which texts the scoring has to give the gradients of the rewards as well.
        cut_power: the kept part of a text is `uniform ** cut_power`: above 1 short prefixes are more frequent.
        temperature: divides the policy's logits.
    """

    reads_gradient: ReadsGradient = "none"
    cut_power: float = 1.0
    temperature: float = 1.0

    def start(self, problem: Problem, noise: Noise) -> InitialResponses:
        """Where the chains begin, with the keys and values of the responses."""
        start = problem.start(noise, keep_cache=True)
        return start if start.layers is not None else replace(start, layers=problem.response_cache(start.ids))

    def update_gradient_state(self, problem: Problem, scored: Scored, before: list[Tensor] | None) -> list[Tensor]:
        """The gradient state of texts just scored; `before` is that of the texts they were proposed from."""
        return []

    def select_gradient_state(
        self, mask: Bool[Tensor, "P C"], accepted: list[Tensor], rejected: list[Tensor]
    ) -> list[Tensor]:
        """The gradient state after the test: that of the chain's own text."""
        return select_chains(mask, accepted, rejected)

    def shared(self, gradient_state: list[Tensor]) -> int:
        """How many of the gradient state's first tensors all chains of a prompt share; the others are `[P, C, …]`."""
        return 0

    def take(self, problem: Problem, chains: Int[Tensor, "P n"], state: State) -> State:
        """Some chains of a state, or the same ones several times, with what all of them share."""
        p, c, n = len(problem.prompts), problem.chains, self.shared(state.gradient_state)
        prompts = torch.arange(p, device=chains.device)[:, None]
        if torch.equal(chains, torch.arange(c, device=chains.device).expand(p, -1)):
            return state

        def own(tensor: Tensor) -> Tensor:
            return tensor[prompts, chains]

        gradient_state = [*state.gradient_state[:n], *map(own, state.gradient_state[n:])]
        layers = take_rows(state.layers, chains, c)
        return State(own(state.ids), own(state.log_prob), own(state.values), gradient_state, layers)

    def draw(self, problem: Problem, state: State, cut: int, noise: Noise) -> tuple[Decoded, list[Tensor]]:
        """New tokens behind a cut, and the gradient state by which they were drawn."""
        return self.write(problem, state, state.gradient_state, cut, noise), state.gradient_state

    def write(self, problem: Problem, state: State, gradient_state: list[Tensor], cut: int, noise: Noise) -> Decoded:
        """New tokens behind a cut, drawn by a gradient state; with the keys and values of the whole responses."""
        return decode(
            problem.policy,
            problem.prefix,
            noise.uniform(problem.chains, problem.length - cut),
            start=state.ids[..., :cut],
            past=state.layers,
            keep_cache=True,
            logits_processor=self.logits_processor(problem, gradient_state),
            temperature=self.temperature_in(problem),
            ledger=problem.ledger,
        )

    def logits_processor(self, problem: Problem, gradient_state: list[Tensor]) -> LogitsProcessor | None:
        """How the policy's log-probabilities are changed; None: not at all."""
        return None

    def gradient_flops(self, problem: Problem) -> float:
        """FLOPs per text of the gradients that this proposal reads, beside the scoring itself."""
        return 0.0

    def flops_back(self, problem: Problem, cut: int) -> float:
        """FLOPs per text of `log_prob_back`."""
        return 0.0

    def temperature_in(self, problem: Problem) -> float:
        """What divides the policy's logits, the same for every text of a step."""
        return self.temperature

    @abstractmethod
    def log_prob_back(self, problem: Problem, state: State, moved: State, cut: int) -> Float[Tensor, "P C n"]:
        """log q of the suffix of `state` when it is proposed from `moved`; 0 after the end of text."""


class PolicyProposal(Proposal):
    """The policy itself, or at another temperature token by token. At 1, log q of the way back is free, since log π of
    the old text is known; else it takes one more pass over the old text.

    Args:
        given: the temperature; None: 1, or 1/α for the reference alone with a number α as its weight.
    """

    def __init__(self, given: float | None = None) -> None:
        self.given = given

    def temperature_in(self, problem: Problem) -> float:
        if self.given is not None or problem.rewards:
            return self.given or 1.0
        if any(term.weight.fixed is None for term in problem.terms):
            return 1.0  # another power in each prompt or step
        length = torch.full((1, 1), float(problem.length))
        power = sum(
            (term.weight.fixed or 0.0) * float(term.policy_energy.per_nat(length))
            for term in problem.terms
            if term.policy_energy is not None
        )
        return min(1.0 / power, HOTTEST) if power > 0 else 1.0

    def flops_back(self, problem: Problem, cut: int) -> float:
        return 0.0 if self.temperature_in(problem) == 1.0 else flops_of_pass(problem, cut)

    def log_prob_back(self, problem: Problem, state: State, moved: State, cut: int) -> Float[Tensor, "P C n"]:
        temperature = self.temperature_in(problem)
        if temperature == 1.0:
            return state.log_prob[..., cut:]
        return log_proposal(problem, state.ids, cut, temperature)


HOTTEST = 4.0
"""Temperature of proposals for a small power of the policy: beyond it they are hardly its texts."""


def flops_of_pass(problem: Problem, cut: int) -> float:
    """FLOPs per text of `log_proposal`."""
    policy, length = problem.policy, problem.length
    return 2.0 * (policy.body_parameters * (length - 1) + policy.head_parameters * (length - cut))


@torch.no_grad()
def log_proposal(
    problem: Problem, ids: Int[Tensor, "P C T"], cut: int, temperature: float, process: LogitsProcessor | None = None
) -> Float[Tensor, "P C n"]:
    """log q of the tokens of texts behind a cut, by one pass of the policy over them; 0 after the end of text.

    Args:
        problem: of the run.
        ids: the texts.
        cut: tokens that are kept.
        temperature: divides the policy's log-probabilities.
        process: changes them; see `decode`.
    """
    policy = problem.policy
    hidden = policy.predictors(problem.prefix, policy.backbone.embedding(ids))
    p, c, t = ids.shape
    rows = torch.arange(p * c, device=ids.device)
    problem.ledger.forward("policy", p * c * (t - 1), policy.body_parameters)
    problem.ledger.forward("policy", p * c * (t - cut), policy.head_parameters)
    columns = []
    for position in range(cut, t):
        log_q = policy.logits(hidden[:, :, position].flatten(0, 1)).log_softmax(-1) / temperature
        if process is not None:
            log_q = process(ids[..., :position].flatten(0, 1), log_q, rows)
        token = ids[:, :, position].reshape(-1, 1)
        columns.append((log_q.gather(-1, token).squeeze(-1) - log_q.logsumexp(-1)).unflatten(0, (p, c)))
    return torch.stack(columns, -1).masked_fill(after_end(ids, policy.eos_ids)[..., cut:], 0.0)
