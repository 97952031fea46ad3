"""Terms whose weights are spread so that the worst of them comes first: which of them can be spread."""

from __future__ import annotations

from collections.abc import Sequence

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.options import ScheduleLike
from sea_toolkit.runs.parts import Part


def refuse_groups(parts: Sequence[Part]) -> None:
    """Refuse groups (`maximin = "NAME"`) for which there are no maximin weights.

    Args:
        parts: of the energy.

    Raises:
        RecipeError: a group of one term, −log π in a group, an energy over all chains, a weight that changes during the
            run, or no −log π beside the groups.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        if part.weight.maximin is not None:
            groups.setdefault(part.weight.maximin, []).append(part)
    for name, members in groups.items():
        group = f"the maximin group {name!r}"
        if len(members) == 1:
            raise RecipeError(f"{group} has one term, {members[0].label!r}", expected="two or more terms in a group")
        for part in members:
            if part.is_reference:
                raise RecipeError(f"{group} holds −log π, {part.label!r}", expected="rewards and other energies")
            if part.energy.joint:
                raise RecipeError(
                    f"{group} holds {part.label!r}, which is of all chains of a prompt",
                    expected="energies of single answers",
                )
            if isinstance(part.weight.number, ScheduleLike) or part.weight.active != (0.0, 1.0):
                raise RecipeError(
                    f"{group} holds {part.label!r}, whose weight changes during the run",
                    expected="a number or a column: the weights are spread once",
                )
    if groups and not any(part.is_reference and part.weight.fixed != 0 for part in parts):
        raise RecipeError(
            f"there are maximin weights ({', '.join(groups)}) and no −log π",
            expected="the energy `reference` with a weight above 0: gains are weighed against closeness to the policy",
        )
