"""The multipliers of limits: how much one unit outside of a limit counts, found by the run itself.

An augmented Lagrangian for inequalities (Rockafellar 1973; Nocedal and Wright 2006, section 17.4). Each end of a limit,
with the excess c of a text over it (0 and less inside), has the share

    ψ(c) = (max(0, λ + ρ c)² − λ²) / 2ρ

of the energy, and after each step λ ← clip(λ + ρ · c, 0, λ_max), with c the mean over the chains of a prompt. Outside,
λ grows until the chains come in; inside it falls, and deep inside ψ has no slope, so that a limit that is kept costs
nothing. As long as no text of a prompt has been inside all limits, those that are broken double first: a run has few
steps, and a text inside comes before everything else. ρ and λ_max follow from how much the excess and the rest of the
energy vary among the run's first texts, so that they do not depend on anybody's units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.problem.limit_scale import FEW_TEXTS, Scale, augmented, bounded_mean, scale_of, starting_multipliers

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.problem.terms import Term

FROZEN_FROM = 0.5
"""Part of a run after which the multipliers of a sampler that states a law stay as they are."""

POINTS = 16
"""Most points of a multiplier's path that are kept."""


@dataclass
class Multipliers:
    """What the limits of a run count, for each prompt; shared by its chains.

    Attributes:
        freezes: the sampler states a law, so that they stay as they are from `FROZEN_FROM` on.
        scales: label → what the first texts have shown of a limit.
        values: label → λ of each end `[P, E]`, of limits with multipliers.
        own: label → the excess of each chain's text over each end `[P, C, E]`.
        met: `[P, 1]`, whether a text inside all limits has been met.
        frozen: the step after which they stay as they are, or None.
        path: the values after some of the steps: (step, label → one number per prompt).
        drawn: base samples per prompt that were drawn to be measured.
    """

    freezes: bool = False
    scales: dict[str, Scale] = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    own: dict[str, Tensor] = field(default_factory=dict)
    met: Tensor | None = None
    frozen: int | None = None
    path: list[tuple[int, dict[str, list[float]]]] = field(default_factory=list)
    drawn: int = 0
    _stride: int = 1

    @property
    def are_constant(self) -> bool:
        """Whether the same text has the same energy in the next step, as far as limits go."""
        return not self.values or self.frozen is not None

    def waits(self, terms: Sequence[Term]) -> bool:
        """Whether texts have to be met before a limit has a share of the energy."""
        return any(term.limit is not None and term.label not in self.scales for term in terms)

    def measure(self, problem: Problem, values: Mapping[str, Float[Tensor, "P n"]] | None) -> None:
        """Learn the scales, and where the multipliers start, from the first texts.

        Where these are too few, base samples are drawn besides; they are counted, and are no candidates.

        Args:
            problem: of the run.
            values: label → unweighted energies of the first texts that were scored, if there are any.
        """
        sources = [] if values is None else [values]
        have = 0 if values is None else next(iter(values.values())).numel()
        if have < FEW_TEXTS and problem.run.weighing.noise is not None:
            sources.append(problem.run.weighing.draw(problem, FEW_TEXTS))
            self.drawn = FEW_TEXTS
        pooled = {label: torch.cat([source[label] for source in sources], 1) for label in sources[0]}
        rest, limits = problem.energy_without_limits(pooled), problem.limits
        excess = {label: limit.excesses(pooled[label]) for label, limit in limits.items()}
        found = [label for label, limit in limits.items() if limit.method == "multiplier"]
        self.scales = {label: scale_of(excess[label], rest) for label in limits}
        self.own = {} if values is None else {label: excess[label][:, : values[label].shape[1]] for label in found}
        self.met = _any_inside(excess)
        self.values = starting_multipliers(excess, rest, self.scales, found)
        self._keep(0)

    def share(self, term: Term, value: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
        """What a limit adds to the energy, in nats, before the weight of its term.

        Args:
            term: with a limit.
            value: its unweighted energies.
        """
        assert term.limit is not None
        if term.label not in self.values:
            return term.limit.excess(value).clamp(min=0.0)
        multipliers = self.values[term.label][:, None]
        return augmented(term.limit.excesses(value), multipliers, self.scales[term.label].stiffness).sum(-1)

    def slope(self, term: Term) -> Float[Tensor, "P 1"] | float:
        """What one unit of what a limit is steered by (see `PromptLimits.steered_by`) counts at its ends, before the
        weight of its term.

        It does not depend on where the chains are, so that proposals which read it keep their law.
        """
        assert term.limit is not None
        if term.label not in self.values:
            return 1.0
        values = self.values[term.label]
        return (values * values.new_tensor(term.limit.slopes)).sum(-1, keepdim=True)

    def tell(
        self,
        terms: Sequence[Term],
        clock: Clock,
        values: Mapping[str, Tensor] | None,
        accepted: Float[Tensor, "P C"] | None,
    ) -> None:
        """Move the multipliers after a step; those of limits that are not active in this part of the run stay.

        Args:
            terms: of the energy.
            clock: as it was in the step.
            values: label → unweighted energies of the texts of this step, if it scored any.
            accepted: which chains took their text, where the sampler says so.
        """
        if self.are_constant:
            return
        if self.freezes and clock.progress >= FROZEN_FROM:
            self.frozen = clock.step
            return
        if values is None:
            return
        excess = {term.label: term.limit.excesses(values[term.label]) for term in terms if term.limit is not None}
        assert self.met is not None
        self.met = self.met | _any_inside(excess)
        for term in terms:
            if term.label in self.values and term.weight.at(clock):
                self._move(term.label, excess[term.label], accepted)
        self._keep(clock.step + 1)

    def _move(self, label: str, excess: Float[Tensor, "P n E"], accepted: Float[Tensor, "P C"] | None) -> None:
        known = self.own.get(label)
        if known is not None and accepted is not None and accepted.shape == excess.shape[:2] == known.shape[:2]:
            excess = torch.where(accepted[..., None] > 0, excess, known)
        self.own[label] = excess
        assert self.met is not None
        scale, value = self.scales[label], self.values[label]
        outside = bounded_mean(excess, scale.unit)
        value = torch.where(self.met | (outside <= 0), value, 2.0 * value)
        self.values[label] = (value + scale.stiffness * outside).clamp(0.0, scale.largest)

    def _keep(self, step: int) -> None:
        """Keep a point of the path; where there are many, every second one stays."""
        if step % self._stride:
            return
        self.path.append((step, {label: value.sum(-1).tolist() for label, value in self.values.items()}))
        if len(self.path) > POINTS:
            self.path, self._stride = self.path[::2], 2 * self._stride

    def path_of(self, label: str, prompt: int) -> list[tuple[int, float]]:
        """Steps done, and the multiplier of one prompt then; of a limit with two ends the sum of theirs."""
        return [(step, values[label][prompt]) for step, values in self.path]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "scales": {label: scale.state() for label, scale in self.scales.items()},
            "values": dict(self.values),
            "own": dict(self.own),
            "met": self.met,
            "frozen": self.frozen,
            "path": list(self.path),
            "drawn": self.drawn,
            "stride": self._stride,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.scales = {label: Scale(**scale) for label, scale in state["scales"].items()}
        self.values, self.own, self.met = dict(state["values"]), dict(state["own"]), state["met"]
        self.frozen, self._stride, self.drawn = state["frozen"], state["stride"], state["drawn"]
        self.path = [(int(step), dict(values)) for step, values in state["path"]]


def _any_inside(excess: Mapping[str, Float[Tensor, "P n E"]]) -> Bool[Tensor, "P 1"]:
    """Whether some text of a prompt is inside all limits."""
    return torch.stack([(value <= 0).all(-1) for value in excess.values()]).all(0).any(1, keepdim=True)
