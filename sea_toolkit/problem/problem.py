"""The problem a sampler works on: prompts × chains, the policy, the weighted terms, and how to ask for energies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import Slope, SoftResponse, is_any
from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.lm.kv_cache import KeysValues, Prefix, growing_cache, read_cache
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.reread import Embedded
from sea_toolkit.problem.locked_prefix import Locked
from sea_toolkit.problem.scores import Energies, Scored, Start, same_rows
from sea_toolkit.problem.terms import Term

Initializer = Callable[["Problem", Noise], Tensor | Decoded]


@dataclass
class Problem:
    """What a sampler sees, and all it sees.

    Attributes:
        policy: the causal LM.
        prompts: P texts; `prefix` is their cache, and that of the `locked` text behind them.
        chains: C per prompt; `length`: T positions.
        terms: the weighted energy; see `energy`, `rescore`, `policy_weight`.
        relaxation: logits `[P, C, T, K]` to weights, with the recipe's options bound.
        top_k: candidates per position of a relaxed response, or None for the whole vocabulary.
        ledger, clock: what has been spent, and where the run is.
        stopped: `[P, C]`, chains that met a NaN and move no more.
        locked: what every answer begins with, or None. Samplers do not see it: their T positions are those behind it,
            and whatever scores, reads or decodes a response here puts it in front.
    """

    policy: Policy
    prompts: Sequence[str]
    prefix: Prefix
    chains: int
    length: int
    terms: list[Term]
    initializer: Initializer
    relaxation: Callable[[Tensor, Noise], Tensor]
    top_k: int | None
    ledger: Ledger
    clock: Clock
    locked: Locked | None = None
    stopped: Bool[Tensor, "P C"] = field(init=False)
    incidents: list[str] = field(default_factory=list)
    keep_cache: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.stopped = torch.zeros(len(self.prompts), self.chains, dtype=torch.bool, device=self.policy.device)

    def start(self, noise: Noise, *, keep_cache: bool = False) -> Start:
        """The hard responses the chains begin with; log π and the cache are None where the initializer has none.

        Args:
            noise: the run's streams.
            keep_cache: the sampler wants the keys and values of the responses, if they come for free.
        """
        self.keep_cache = keep_cache
        found = self.initializer(self, noise)
        start = Start(found) if isinstance(found, Tensor) else Start(found.ids, found.log_prob, found.layers)
        expected = (len(self.prompts), self.chains, self.length)
        if tuple(start.ids.shape) != expected:
            raise PluginError(
                f"the initializer returned ids {list(start.ids.shape)}", expected=f"[P, C, T] = {list(expected)}"
            )
        return start

    @property
    def prompt_prefix(self) -> Prefix:
        """The cache of the prompts alone."""
        return self.prefix if self.locked is None else self.locked.prompts

    def whole(self, ids: Int[Tensor, "P n t"]) -> Int[Tensor, "P n s"]:
        """The answers that a sampler's ids stand for: behind the locked text."""
        return ids if self.locked is None else self.locked.before(ids)

    @torch.no_grad()
    def read(self, ids: Int[Tensor, "P C T"]) -> KeysValues:
        """Keys and values `[P·C, heads, T − 1, width]` of all response tokens but the last; empty for a model
        that shares none."""
        p, c, t = ids.shape
        if isinstance(self.prefix.layers, Embedded):
            return []
        cache = growing_cache(self.prefix.rows(c))
        mask = torch.nn.functional.pad(self.prefix.mask.repeat_interleave(c, 0), (0, t - 1), value=True)
        positions = self.prefix.positions(0, t - 1).repeat_interleave(c, 0)
        backbone, size = self.policy.backbone, self.prefix.mask.shape[1]
        backbone.run(backbone.embedding(ids[..., :-1].flatten(0, 1)), mask, positions, cache)
        self.ledger.forward("policy", p * c * (t - 1), self.policy.body_parameters)
        return read_cache(cache, size, size + t - 1)

    def soft(
        self, logits: Float[Tensor, "P C T K"], candidates: Int[Tensor, "P C T K"] | None, noise: Noise
    ) -> SoftResponse:
        """Relax logits over candidates into a response."""
        return SoftResponse.from_weights(self.relaxation(logits, noise), candidates, self.policy.eos_ids)

    def energy(self, response: SoftResponse, terms: Sequence[Term] | None = None) -> Energies:
        """The differentiable terms (all of them, or those given) of a response."""
        chosen = self.differentiable if terms is None else terms
        response = response if self.locked is None else response.behind(self.locked.ids)
        values = {t.label: t(response) for t in chosen}
        total = torch.zeros(response.shape[:2], device=response.weights.device)
        for t in chosen:
            total = total + self.clock.value(t.weight) * values[t.label]
        return Energies(total, values)

    @property
    def sample_flops(self) -> float:
        """FLOPs of drawing one base response of the run's length and scoring it once: the unit of budgets."""
        drawing = 2.0 * (self.policy.body_parameters + self.policy.head_parameters)
        inner = [getattr(t.bound, "bound", t.bound) for t in self.terms]
        scoring = sum(getattr(b, "flops_per_token", 0.0) for b in inner)
        return drawing * self.length + scoring * (self.length + len(self.locked or ()))

    @property
    def differentiable(self) -> list[Term]:
        """Terms that can be asked about a relaxed response."""
        return [t for t in self.terms if t.differentiable]

    @property
    def rewards(self) -> list[Term]:
        """All terms but −log π: what a proposal from the policy does not account for."""
        return [t for t in self.terms if not t.is_policy]

    @property
    def sloped(self) -> list[Term]:
        """The rewards with a gradient, in the order of `Scored.slopes`."""
        return [t for t in self.rewards if t.differentiable]

    @property
    def drifts(self) -> bool:
        """Whether a term's value for the same text changes during the run: an option of it follows a schedule."""
        return any(t.moves for t in self.terms)

    def weigh(self, values: Float[Tensor, "P C M"]) -> Float[Tensor, "P C"]:
        """Σ weight · value with the weights of now, of what `Energies.values` gave; +inf where one is not finite."""
        total, bad = torch.zeros_like(values[..., 0]), torch.zeros_like(values[..., 0], dtype=torch.bool)
        for term, value in zip(self.terms, values.unbind(-1), strict=True):
            weighted = self.clock.value(term.weight) * value
            total, bad = total + weighted, bad | weighted.isnan() | (weighted == -torch.inf)
        return total.masked_fill(bad, torch.inf)

    def policy_weight(self, length: Float[Tensor, "P C"]) -> Float[Tensor, "P C"]:
        """Weight of the summed −log π in the energy, per response of the given length."""
        total, length = torch.zeros_like(length), length + len(self.locked or ())
        for t in self.terms:
            if t.is_policy:
                total = total + self.clock.value(t.weight) * t.bound.per_nat(length)
        return total

    def require_gradient(self, sampler: str) -> None:
        """Refuse an energy that gives `sampler` no slope to follow.

        Raises:
            RecipeError: a term without a gradient; it is named.
        """
        blind = [t for t in self.terms if not t.differentiable]
        if blind:
            names = ", ".join(f"{t.label!r} ({t.owner})" for t in blind)
            raise RecipeError(
                f"sampler {sampler!r} needs gradients, and {names} only scores text",
                expected="energies that can be asked about a relaxed response",
                hint="a gradient-free sampler such as best-of-n",
            )

    def rescore(
        self, ids: Int[Tensor, "P C T"], log_prob: Float[Tensor, "P C T"] | None = None, *, slope: bool = False
    ) -> Scored:
        """Score hard responses as text; every value that is not finite counts as +inf and is noted.

        Args:
            ids: what the sampler has.
            log_prob: log π of each token of `ids` where it is known already; used for the rows that re-tokenize to
                the same ids.
            slope: also return the gradient of each unweighted term (all but −log π, as far as they have one) with
                respect to every token's probability, from the same forward pass.
        """
        whole = self.whole(ids)
        texts = self.policy.text(whole)
        finished = is_any(ids, self.policy.eos_ids).any(-1)
        response = self.policy.from_text(texts, finished)
        length = response.expected_length()
        known = same = None
        if log_prob is not None:
            ended = SoftResponse.from_ids(ids, self.policy.eos_ids).alive > 0
            known = torch.where(ended, log_prob, 0.0).sum(-1)
            if self.locked is not None:
                known = known + self.locked.log_prob[:, None]
                ended = torch.nn.functional.pad(ended, (len(self.locked), 0), value=True)
            same = same_rows(whole, ended, response)
        values: dict[str, Tensor] = {}
        slopes: list[Slope] = []
        total, nll = torch.zeros_like(length), torch.full_like(length, torch.nan)
        for t in self.terms:
            if t.is_policy:
                value = t.bound.of_text(response, known, same)
                nll = value / t.bound.per_nat(length)
            elif slope and t.differentiable:
                value, steep = self._tapped(t, response)
                slopes.append(steep)
            else:
                with torch.no_grad():
                    text_value = t.score_text(self.prompts, texts)
                    value = t(response) if text_value is None else text_value.to(total.device)
            values[t.label] = value.detach()
            total = total + self.clock.value(t.weight) * values[t.label]
        energies = self.checked(Energies(total, values))
        return Scored(ids, texts, finished, length, nll, energies, slopes if slope else None)

    @staticmethod
    @torch.enable_grad()
    def _tapped(term: Term, response: SoftResponse) -> tuple[Tensor, Slope]:
        """A term's value, and its gradient with respect to every token's probability."""
        read = response.tapped()
        value = term(read)
        assert read.taps is not None
        return value, read.taps.gradient(value.sum())

    def checked(self, energies: Energies) -> Energies:
        """Where a term is NaN, or an energy −inf: total +inf, the chain stops, and the term is named."""
        bad = torch.zeros_like(energies.total, dtype=torch.bool)
        for t in self.terms:
            if t.label in energies.terms:
                weighted = self.clock.value(t.weight) * energies.terms[t.label].detach()
                broken = weighted.isnan() | (weighted == -torch.inf)
                if broken.any():
                    self._stop(t, broken)
                bad |= broken
        return Energies(energies.total.masked_fill(bad, torch.inf), energies.terms)

    def _stop(self, term: Term, broken: Bool[Tensor, "P C"]) -> None:
        what = f"energy {term.owner!r} was not finite at step {self.clock.step}"
        if broken.shape != self.stopped.shape:  # a batch of draws, not the chains
            self.incidents.append(f"{int(broken.sum())} texts left out: {what}")
            return
        for p, c in (broken & ~self.stopped).nonzero().tolist():
            self.incidents.append(f"prompt {p + 1}, chain {c + 1} stopped: {what}")
        self.stopped = self.stopped | broken
