"""What a call asks for: a recipe with the call's arguments laid over it, terms in Python, and what they may do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.parts import OwnEnergies
from sea_toolkit.runs.python_terms import Energies, Rewards, read_terms
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session


@dataclass(frozen=True)
class Asked:
    """The arguments of a call, read and checked; nothing is loaded.

    Attributes:
        recipe: of all that is plain data.
        own: energies that are objects.
        allowed: what the energies may run and ask.
    """

    recipe: Recipe
    own: OwnEnergies
    allowed: Allowed

    @classmethod
    def of(
        cls,
        session: Session,
        recipe: RecipeSource | None,
        reward: Rewards | None,
        energies: Energies | None,
        settings: Mapping[str, Any],
        allow_code: Collection[str],
        allow_network: Collection[str],
    ) -> Asked:
        """Read them.

        Args:
            session: of the call.
            recipe, reward, energies, allow_code, allow_network: as for `align`.
            settings: of the recipe, by the names of the arguments; None where one was left out.

        Raises:
            RecipeError: as `align`.
        """
        terms = read_terms(reward, energies)
        chosen = build_recipe(
            recipe, terms.rewards, settings, own_terms=bool(terms.own), terms=terms.tables, hub=session.hub
        )
        session.refuse_unused(chosen)
        return cls(chosen, terms.own, terms.allowed(allow_code, allow_network))

    def compose(self, session: Session, recipe: Recipe | None = None) -> Composition:
        """The composition of the recipe, or of another one with the same objects.

        Raises:
            RecipeError, PluginError: see `Session.compose`.
        """
        return session.compose(recipe or self.recipe, self.own, self.allowed)
