"""What a sampler requires of the energy and of the relaxation. Each requirement is checked here, as early as it can be:
for functions when a recipe is composed, for other energies when they are bound, always before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.energy import Energy
from sea_toolkit.problem.limits import Limit, PromptLimits
from sea_toolkit.problem.terms import Term
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.relaxations.base import draws_noise, takes_points
from sea_toolkit.samplers.base import Sampler

if TYPE_CHECKING:
    from sea_toolkit.registry.items import Item
    from sea_toolkit.runs.recipe import Recipe


@dataclass(frozen=True)
class TermFacts:
    """What is known of a term of the energy before, or after, it is bound.

    Attributes:
        label: its name in the run; `owner`: the plugin, as `distribution:name`.
        is_policy: it is −log π, or a limit on it: samples of the policy follow it, and no gradient of it tilts them.
        has_gradient: it can score a relaxed response; None: known when it is bound.
        joint: it is an energy over all chains of a prompt.
        has_compass: it is known which words it likes.
        moves: what it counts changes in the course of the run: a schedule, a part of the run, a limit's multiplier.
        tells_early: see `Energy`.
    """

    label: str
    owner: str
    is_policy: bool
    has_gradient: bool | None
    joint: bool
    has_compass: bool = False
    moves: bool = False
    tells_early: bool = False

    @classmethod
    def unbound(
        cls, label: str, owner: str, energy: Energy, is_policy: bool, has_compass: bool, moves: bool
    ) -> TermFacts:
        """Facts of an energy before it is bound."""
        return cls(label, owner, is_policy, energy.differentiable, energy.joint, has_compass, moves, energy.tells_early)

    @classmethod
    def bound(cls, term: Term, *, joint: bool = False, tells_early: bool = False) -> TermFacts:
        """Facts of a bound term, all of them known."""
        is_policy, has_compass = term.policy_energy is not None, term.compass is not None
        moving = moves(term.weight, term.limit, term.is_time_dependent)
        return cls(term.label, term.qualified, is_policy, term.differentiable, joint, has_compass, moving, tells_early)


def moves(weight: Weight, limit: Limit | PromptLimits | None, is_time_dependent: bool) -> bool:
    """Whether what a term counts changes in the course of the run."""
    return is_time_dependent or not weight.is_constant or (limit is not None and limit.method == "multiplier")


def check_energy(
    name: str, sampler: Sampler, terms: Sequence[TermFacts], recipe: Recipe, others: Sequence[Item]
) -> None:
    """Refuse an energy that the sampler cannot work with, as far as is known.

    Args:
        name: of the sampler, as the recipe asks for it.
        sampler: states `needs_gradient` and `joint`.
        terms: the energy.
        recipe: says how many chains there are, and whether rewrites compete.
        others: all samplers there are, to name those that would fit.

    Raises:
        RecipeError: terms without a gradient for a sampler that needs theirs; an energy over all chains of a prompt for
            a sampler that takes chains one by one, for a single chain, or with rewrites.
    """
    _check_joint(name, sampler, terms, recipe, others)
    guided = sampler.needs_gradient == "any-guide"
    asked = [t for t in terms if not t.is_policy or not (guided or sampler.needs_gradient == "any-reward")]
    blind = [t for t in asked if t.has_gradient is False and not (guided and t.has_compass)]
    enough = not blind if sampler.needs_gradient == "every-term" else len(blind) < len(asked)
    if sampler.needs_gradient == "none" or enough:
        return
    names = ", ".join(f"{t.label!r} ({t.owner})" for t in blind)
    raise RecipeError(
        f"sampler {name!r} needs gradients, and {names} only scores text",
        expected="energies that can be asked about a relaxed response",
        hint="a gradient-free sampler such as best-of-n"
        + ("; or a compass of it: sea-toolkit fit-compass --words" if guided else ""),
    )


def _check_joint(
    name: str, sampler: Sampler, terms: Sequence[TermFacts], recipe: Recipe, others: Sequence[Item]
) -> None:
    joint = next((t.label for t in terms if t.joint), None)
    if joint is None:
        return
    what = f"the energy {joint!r} is one of all chains of a prompt"
    if not sampler.joint:
        fit = [
            i.name for i in others if isinstance(i.target, type) and issubclass(i.target, Sampler) and i.target.joint
        ]
        raise RecipeError(
            f"{what}, and the sampler {name!r} accepts or keeps them one by one",
            expected=f"a sampler that moves them together: {', '.join(fit)}",
            hint='sampler = { name = "sea" }',
        )
    if recipe.sampler.chains == 1:
        raise RecipeError(f"{what}, and there is one", expected="chains = 2 or more")
    if recipe.rewrite is not None:
        raise RecipeError(f"{what}, and rewrites compete one by one", hint="leave rewrite out")


def check_relaxation(name: str, sampler: Sampler, relaxation: Item) -> None:
    """Refuse a relaxation that the sampler cannot work with.

    Raises:
        RecipeError: it draws noise, or works on points, and the sampler states that this does not fit.
    """
    if "noisy" in sampler.unfit_relaxations and draws_noise(relaxation.target):
        raise RecipeError(
            f"sampler {name!r} needs a deterministic relaxation, and {relaxation.name!r} draws noise: the same logits "
            "would have a different energy at each call",
            hint="softmax; gumbel-softmax goes with sea",
        )
    if "points" in sampler.unfit_relaxations and takes_points(relaxation.target):
        raise RecipeError(
            f"sampler {name!r} needs a relaxation of logits, and {relaxation.name!r} works on points",
            hint="softmax or entmax; embedding goes with sea, mala and psgld",
        )
