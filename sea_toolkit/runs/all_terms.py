"""What is checked of the terms of an energy together: their labels, their weights, their maximin groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sea_toolkit.errors import RecipeError
from sea_toolkit.models.resolve import model_of
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.options import ScheduleLike
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.term_values import free_label


def with_labels(parts: Sequence[Part]) -> list[Part]:
    """The same terms, each with a label of its own: the user's stay as they are, equal ones made of names get numbers.

    Raises:
        RecipeError: the user gave one label to two terms.
    """
    taken: dict[str, None] = {}
    for part in parts:
        if part.is_labelled and part.label in taken:
            raise RecipeError(
                f"two terms have the label {part.label!r}", expected="a label of its own for each term that has one"
            )
        taken |= {part.label: None} if part.is_labelled else {}
    labelled = []
    for part in parts:
        label = part.label if part.is_labelled else free_label(part.label, taken)
        taken[label] = None
        labelled.append(replace(part, label=label))
    return labelled


def is_policy_itself(part: Part) -> bool:
    """Whether it is the summed −log π with a fixed weight, so that weight 1 alone asks for the policy's own answers."""
    return part.is_reference and part.options.get("normalize") != "mean" and part.weight.fixed is not None


def refuse_nothing(parts: Sequence[Part], hub: PluginHub) -> None:
    """Refuse an energy that asks for nothing: no term, weights that are all 0, or −log π as it is.

    −log π alone with another weight α is the power target π^α.
    """
    if not parts or (all(map(is_policy_itself, parts)) and sum(part.weight.fixed or 0.0 for part in parts) == 1):
        raise _nothing_to_align_to(hub)
    if all(part.weight.fixed == 0 for part in parts):
        raise every_weight_is_0("", parts)


def every_weight_is_0(where: str, parts: Sequence[Part]) -> RecipeError:
    return RecipeError(
        f"every weight is 0{where and f' {where}'} ({', '.join(part.label for part in parts)}): all answers have the "
        "same energy",
        expected="a weight other than 0",
    )


def _nothing_to_align_to(hub: PluginHub) -> RecipeError:
    rewards = [item.name for item in hub.items("model") if model_of(item).role == "reward"]
    return RecipeError(
        "there is nothing to align to: no reward was given",
        expected="at least one reward or another energy, or for the reference a weight α other than 1 (the power π^α)",
        hint=f"--reward NAME[=WEIGHT] with one of: {', '.join(rewards)} (sea-toolkit models list); in Python "
        'reward={"NAME": 8.0} or reward=function',
    )


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
