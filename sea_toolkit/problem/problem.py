"""The problem a sampler works on: prompts × chains, the policy, the weighted terms, and how to ask for energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse, after_end
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.lm.kv_cache import KeysValues, Prefix, buffered_cache, read_cache
from sea_toolkit.lm.reread import Embedded
from sea_toolkit.problem.costs import SampleCosts
from sea_toolkit.problem.gradients import not_finite, stop_by_gradient
from sea_toolkit.problem.initializer import CheckedInitializer
from sea_toolkit.problem.limits import PromptLimits
from sea_toolkit.problem.scores import Energies, InitialResponses, Scored
from sea_toolkit.problem.terms import Term
from sea_toolkit.problem.text_scoring import read_as_text, score_texts
from sea_toolkit.problem.weighing import weight_tensor
from sea_toolkit.relaxations.base import Relaxation


@dataclass(frozen=True, kw_only=True)
class Problem(SampleCosts):
    """Everything that a sampler sees. It is constant for the whole run; what changes is in `run`.

    Attributes:
        policy: the causal LM.
        prompts: P texts; `prefix` is the key/value cache of them and of the `locked` text after them.
        chains: C, per prompt.
        length: T, the response positions.
        terms: the weighted energy; see `energy`, `score_as_text`, `policy_weight`.
        relaxation: logits `[P, C, T, K]` to weights, with the recipe's options bound; None for samplers without.
        top_k: candidates per position of a relaxed response, or None for the whole vocabulary.
        run: the `ledger`, the `clock` and the `stopped` chains.
        locked: a text that begins every answer, or None. Samplers do not see it: their T positions come after it. The
            methods below that score, read or decode a response put it in front.
    """

    prompts: Sequence[str]
    prefix: Prefix
    chains: int
    initializer: CheckedInitializer
    relaxation: Relaxation | None
    top_k: int | None

    @property
    def ledger(self) -> Ledger:
        """What has been spent."""
        return self.run.ledger

    @property
    def clock(self) -> Clock:
        """Where the run stands."""
        return self.run.clock

    @property
    def stopped(self) -> Bool[Tensor, "P C"]:
        """Chains that met a number that is not finite and no longer move."""
        return self.run.stopped

    def start(self, noise: Noise, *, keep_cache: bool = False) -> InitialResponses:
        """The hard responses the chains begin with, and log π of their tokens.

        Where the initializer writes without the policy, log π takes one pass over the responses, which is counted.

        Args:
            noise: the run's streams.
            keep_cache: the sampler can use the keys and values of the responses. Initializers that can return them
                have a parameter of that name.

        Raises:
            PluginError: the initializer failed, or returned something else than token ids `[P, C, T]` or what `decode`
                returns.
        """
        written = self.initializer.write(self, noise, keep_cache)
        if isinstance(written, Decoded):
            if torch.equal(written.log_proposal, written.log_prob):  # samples of the policy itself
                self.run.weighing.base_ids = written.ids
            return InitialResponses(written.ids, written.log_prob, written.layers)
        ids = written
        log_prob = self.policy.log_prob(self.prefix, ids).masked_fill(after_end(ids, self.policy.eos_ids), 0.0)
        self.ledger.forward("policy", ids.numel(), self.policy.body_parameters + self.policy.head_parameters)
        return InitialResponses(ids, log_prob)

    @property
    def prompt_prefix(self) -> Prefix:
        """The cache of the prompts alone."""
        return self.prefix if self.locked is None else self.locked.prompts

    def with_locked_prefix(self, ids: Int[Tensor, "P n t"]) -> Int[Tensor, "P n s"]:
        """Whole answers: the locked text in front of a sampler's ids."""
        return ids if self.locked is None else self.locked.prepend(ids)

    @torch.no_grad()
    def response_cache(self, ids: Int[Tensor, "P C T"]) -> KeysValues:
        """Keys and values `[P·C, heads, T − 1, width]` of all response tokens but the last; empty for a model
        that shares none."""
        p, c, t = ids.shape
        if isinstance(self.prefix.layers, Embedded):
            return []
        cache = buffered_cache(self.prefix.rows(c), t - 1)
        mask = torch.nn.functional.pad(self.prefix.mask.repeat_interleave(c, 0), (0, t - 1), value=True)
        positions = self.prefix.positions(0, t - 1).repeat_interleave(c, 0)
        backbone, size = self.policy.backbone, self.prefix.mask.shape[1]
        backbone.run(backbone.embedding(ids[..., :-1].flatten(0, 1)), mask, positions, cache)
        self.ledger.forward("policy", p * c * (t - 1), self.policy.body_parameters)
        return read_cache(cache, size, size + t - 1)

    def relax(
        self, logits: Float[Tensor, "P C T K"], candidates: Int[Tensor, "P C T K"] | None, noise: Noise
    ) -> SoftResponse:
        """Relax logits over candidates into a response. Chains whose weights are not finite are stopped, and get equal
        ones."""
        assert self.relaxation is not None  # the core gives one to every sampler that states a `default_relaxation`
        weights = self.run.backward.mark(self.relaxation(logits, noise), self.relaxation.owner)
        broken = not_finite(weights.detach())
        if bool(broken.any()):
            given = logits.detach()
            self.run.stop("a logit of the sampler", broken & (given.isnan() | given.isposinf()).flatten(2).any(-1))
            self.run.stop(f"a weight of {self.relaxation.owner}", broken)
            weights = torch.where(broken[..., None, None], 1.0 / weights.shape[-1], weights)
        return SoftResponse.from_weights(weights, candidates, self.policy.eos_ids)

    def energy(self, response: SoftResponse, terms: Sequence[Term] | None = None) -> Energies:
        """The differentiable terms (all of them, or those given) of a response."""
        chosen = self.differentiable if terms is None else terms
        response = response if self.locked is None else response.prepend(self.locked.ids)
        values = {t.label: self.run.backward.mark(t(response), t.owner) for t in chosen}
        total = torch.zeros(response.shape[:2], device=response.weights.device)
        for t in chosen:
            total = total + self.weighted(t, values[t.label])
        return Energies(total, values)

    def gradient(
        self,
        objective: Float[Tensor, "P C"],
        latent: Float[Tensor, "P C T K"],
        response: SoftResponse,
        energies: Energies,
    ) -> Float[Tensor, "P C T K"]:
        """∂ Σ objective / ∂ latent. A chain in which it is not finite is stopped and gets 0; a note names the term.

        Where the objective is +inf, nothing is wrong: such a wall has no slope, and the chain gets 0 where it is NaN.

        Args:
            objective: what is differentiated: the total of `energies`, or something made of it.
            latent: the logits, points or weights that `response` was made of.
            response: what `energies` are of.
            energies: see `energy`.

        Raises:
            PluginError: the backward pass of an energy or of the relaxation fails, or no energy has a gradient.
            OutOfMemoryError: it takes more memory than there is.
        """
        terms = [t for t in self.terms if t.label in energies.terms]
        gradient = self.run.backward.gradient(objective, latent, [t.owner for t in terms])
        broken = not_finite(gradient)
        if not bool(broken.any()):
            return gradient
        stop_by_gradient(self, broken & ~self.stopped & ~objective.detach().isposinf(), response, terms)
        return gradient.masked_fill(broken[..., None, None], 0.0)

    @property
    def differentiable(self) -> list[Term]:
        """Terms that can be asked about a relaxed response."""
        return [t for t in self.terms if t.differentiable]

    @property
    def rewards(self) -> list[Term]:
        """All terms except −log π, which samples of the policy already follow."""
        return [t for t in self.terms if not t.is_policy]

    @property
    def differentiable_rewards(self) -> list[Term]:
        """The rewards with a gradient, in the order of `Scored.token_gradients`; no limit on −log π, which proposals
        follow by themselves."""
        return [t for t in self.rewards if t.differentiable and t.policy_energy is None]

    @property
    def guides(self) -> list[Term]:
        """The rewards of which a direction over the policy's words is known: by a gradient, a compass or both."""
        met = self.differentiable_rewards
        return [t for t in self.rewards if t in met or t.compass is not None]

    @property
    def is_time_dependent(self) -> bool:
        """Whether the same text has another value later, because an option of a term follows a schedule."""
        return any(t.is_time_dependent for t in self.terms)

    def weight(self, term: Term) -> Float[Tensor, "P 1"]:
        """What one unit of the term counts for each prompt now, in nats; of a limit, at its ends."""
        weight = self._factor(term)
        return weight if term.limit is None else weight * self.run.multipliers.slope(term)

    def weighted(self, term: Term, value: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
        """The term's share of the energy now, in nats; limits have none in texts that are only measured."""
        if term.limit is None:
            return self._factor(term) * value
        if self.run.weighing.measures:
            return torch.zeros_like(value)
        return self._factor(term) * self.run.multipliers.share(term, value)

    def _factor(self, term: Term) -> Float[Tensor, "P 1"]:
        """What the recipe and the first texts make of a term, as a factor of its value or of the share of its limit."""
        weighing, multipliers = self.run.weighing, self.run.multipliers
        if weighing.missing(self.terms):
            weighing.measure(self)
        if term.limit is not None and multipliers.waits(self.terms):
            multipliers.measure(self, None)
        return weight_tensor(weighing.by_prompt(term, self.clock, len(self.prompts)), self.stopped.device)

    def weights_at(self, clock: Clock) -> list[dict[str, float]]:
        """For each prompt label → weight at another point of the run, by which texts are compared; 0 of a limit, which
        comes before all weights."""
        p = len(self.prompts)
        columns = {t.label: [0.0] * p if t.limit else self.run.weighing.by_prompt(t, clock, p) for t in self.terms}
        return [{label: column[i] for label, column in columns.items()} for i in range(p)]

    @property
    def limits(self) -> dict[str, PromptLimits]:
        """Label → limit."""
        return {t.label: t.limit for t in self.terms if t.limit is not None}

    def total_energy(self, values: Float[Tensor, "P C M"]) -> Float[Tensor, "P C"]:
        """Σ weight · value with the current weights, for `Energies.values`; +inf where a product is NaN or −inf."""
        return self._sum(self.terms, {t.label: v for t, v in zip(self.terms, values.unbind(-1), strict=True)})

    def energy_without_limits(self, values: Mapping[str, Float[Tensor, "P n"]]) -> Float[Tensor, "P n"]:
        """Σ weight · value of all terms but limits with the current weights; +inf where a product is NaN or −inf."""
        return self._sum([t for t in self.terms if t.limit is None], values)

    def _sum(self, terms: Sequence[Term], values: Mapping[str, Float[Tensor, "P n"]]) -> Float[Tensor, "P n"]:
        first = next(iter(values.values()))
        total, bad = torch.zeros_like(first), torch.zeros_like(first, dtype=torch.bool)
        for term in terms:
            weighted = self.weighted(term, values[term.label])
            total, bad = total + weighted, bad | weighted.isnan() | (weighted == -torch.inf)
        return total.masked_fill(bad, torch.inf)

    def policy_weight(self, length: Float[Tensor, "P C"]) -> Float[Tensor, "P C"]:
        """The factor of the summed −log π in the energy of a response of the given length."""
        total, length = torch.zeros_like(length), length + len(self.locked or ())
        for t in self.terms:
            if t.policy_energy is not None and t.is_policy:
                total = total + self.weighted(t, t.policy_energy.per_nat(length))
        return total

    def as_text(self, ids: Int[Tensor, "P C T"]) -> tuple[list[list[str]], SoftResponse, Bool[Tensor, "P C"]]:
        """The texts that a person reads, and their tokens.

        A finished row keeps the token that ended it. A text that would have more tokens than the policy has positions
        keeps the tokens it was drawn in, which give the same text.

        Args:
            ids: the sampler's hard responses.

        Returns:
            The texts with the locked text in front, their tokens, and which rows have the same tokens as `ids`.

        Raises:
            PluginError: they are no token ids.
        """
        return read_as_text(self, ids)

    def score_as_text(
        self, ids: Int[Tensor, "P C T"], log_prob: Float[Tensor, "P C T"] | None = None, *, gradients: bool = False
    ) -> Scored:
        """Score hard responses as text: decode, tokenize again, evaluate every term.

        Where a term is NaN or −inf, the energy is +inf, the chain is stopped, and a note names the term. A text that
        has not ended and lost special tokens on the way, which nobody reads, is charged log π of its `ids`.

        Args:
            ids: the sampler's hard responses.
            log_prob: log π of each token of `ids` if it is known; used for the rows whose tokens stay the same.
            gradients: also return the gradient of each unweighted differentiable reward with respect to every token's
                probability, from the same forward pass.
        """
        return score_texts(self, ids, log_prob, gradients)

    def mask_nonfinite(self, energies: Energies) -> Energies:
        """Set the total to +inf where a weighted term is NaN or −inf; stop those chains and note which term it was."""
        bad = torch.zeros_like(energies.total, dtype=torch.bool)
        for t in self.terms:
            if t.label in energies.terms:
                weighted = self.weighted(t, energies.terms[t.label].detach())
                broken = weighted.isnan() | (weighted == -torch.inf)
                if broken.any():
                    own = f"a logit of policy {self.policy.name!r}" if t.is_policy else f"energy {t.qualified!r}"
                    self.run.stop(own, broken)
                bad |= broken
        return Energies(energies.total.masked_fill(bad, torch.inf), energies.terms)
