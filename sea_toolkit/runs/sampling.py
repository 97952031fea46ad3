"""The sampler of a recipe, and the relaxation that it works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.blame import Owner
from sea_toolkit.relaxations.base import Relaxation, takes_points
from sea_toolkit.runs.recipe import PluginSpec, Recipe
from sea_toolkit.runs.requirements import check_relaxation
from sea_toolkit.runs.resolver import Resolver
from sea_toolkit.samplers.base import Sampler, sampler_class


@dataclass(frozen=True)
class Sampling:
    """A sampler with its relaxation.

    Attributes:
        name: of the sampler, as the recipe asks for it.
        sampler: the sampler.
        relaxation: the function with its options; None for a sampler on hard responses.
        relaxation_name, relaxation_owner: of the relaxation, and whose code it is.
        top_k: candidates per position of a relaxed response; None for the whole vocabulary.
    """

    name: str
    sampler: Sampler
    relaxation: partial[Any] | None = None
    relaxation_name: str = ""
    relaxation_owner: Owner | None = None
    top_k: int | None = None

    def relax(self, policy: Policy, clock: Clock) -> Relaxation | None:
        """The relaxation of a run."""
        if self.relaxation is None:
            return None
        space = EmbeddingSpace(policy.table, policy.token_ids)
        return Relaxation(self.relaxation, clock, space, self.relaxation_owner)


def resolve_sampling(recipe: Recipe, name: str, resolver: Resolver) -> Sampling:
    """Make the sampler, and the relaxation it needs.

    Args:
        recipe: its options, and perhaps a relaxation.
        name: of the sampler.
        resolver: of the recipe.

    Raises:
        RecipeError: an unknown name, a wrong option, a relaxation that the sampler cannot work with.
        PluginError: the plugin's class is not a sampler.
    """
    item = resolver.find("sampler", name, "sampler")
    sampler_class(item)
    sampler: Sampler = resolver.build(item, recipe.sampler.options, "sampler")
    default, spec = sampler.default_relaxation, recipe.relaxation
    if default is None and spec is not None:
        raise RecipeError(
            f"the recipe sets a relaxation, and its sampler {name!r} relaxes nothing",
            hint="leave the relaxation out, or choose a sampler such as sea",
        )
    if default is None:
        return Sampling(name, sampler)
    options = dict(default) if spec is None else {"name": spec.name, **spec.options}
    kind, top_k = options.pop("name"), _top_k(options.pop("top_k", default["top_k"]))
    relaxation = resolver.find("relaxation", kind, "relaxation")
    check_relaxation(name, sampler, relaxation)
    built = resolver.build(relaxation, options, "relaxation")
    if takes_points(relaxation.target):
        _refuse_top_k(spec, kind)
        top_k = None
    return Sampling(name, sampler, built, kind, relaxation.owner, top_k)


def _top_k(value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RecipeError(f"relaxation: top_k is {value!r}", expected="a whole number; 0 for the whole vocabulary")
    return value or None


def _refuse_top_k(spec: PluginSpec | None, kind: str) -> None:
    if spec is not None and spec.options.get("top_k"):
        raise RecipeError(
            f"relaxation: top_k = {spec.options['top_k']}, and {kind!r} looks among all tokens for the nearest",
            hint="leave top_k out",
        )
