"""Methods under comparison: a sampler with its settings, under a label, at its budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.samplers.base import sampler_class

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


@dataclass(frozen=True)
class Method:
    """One line of the plot.

    Attributes:
        label: its name in the report.
        sampler: the registered name.
        settings: options of the sampler, and `chains`.
        relaxes: whether the recipe's relaxation is for it.
        budgets: in samples per prompt, ascending.
    """

    label: str
    sampler: str
    settings: dict[str, Any]
    relaxes: bool
    budgets: tuple[float, ...]

    def recipe(self, base: Recipe, budget: float, seed: int) -> Recipe:
        """The recipe of one run."""
        data = base.model_dump(exclude_unset=True)
        data["sampler"] = {"name": self.sampler, **self.settings, "budget": budget}
        data["seed"] = seed
        if not self.relaxes:
            data.pop("relaxation", None)
        return Recipe.parse(data)

    def to_dict(self) -> dict[str, Any]:
        """What decides its rows, besides what all methods share."""
        return {"sampler": self.sampler, **self.settings}


def plan_methods(
    samplers: Sequence[str],
    budgets: Sequence[float],
    options: Mapping[str, Mapping[str, Any]],
    versus: Sequence[str],
    base: Recipe,
    hub: PluginHub,
) -> list[Method]:
    """The methods. Chains that are asked for are the same at every budget; else each run has as many as `align` would
    take.

    Args:
        samplers: `name`, or `label=name` to have a sampler twice with different options.
        budgets: in samples per prompt.
        options: label → option → value; `chains` is one.
        versus: `label@budget`; the point is added to that method's budgets.
        base: the recipe; what it sets for a sampler is that sampler's default here.
        hub: knows the samplers.

    Raises:
        RecipeError: unknown samplers or labels, impossible budgets, options of the run as a whole.
    """
    points = sorted({float(b) for b in budgets})
    if not points or not all(0 < b < float("inf") for b in points):
        raise RecipeError(f"budgets {', '.join(f'{b:g}' for b in budgets) or '(none)'}", expected="numbers above 0")
    labels: dict[str, str] = {}
    for text in samplers:
        label, _, name = text.rpartition("=")
        label = label or name
        if label in labels:
            raise RecipeError(
                f"there are two methods {label!r}", hint="name them: --samplers mild=tilted,strong=tilted"
            )
        if not name or "@" in label or label == "base":
            raise RecipeError(
                f"--samplers: {text!r}", expected="NAME or LABEL=NAME, the label neither 'base' nor with an @"
            )
        labels[label] = name
    if not labels:
        raise RecipeError("there are no samplers to compare", expected="--samplers tilted,best-of-n")
    for label in options:
        if label not in labels:
            raise RecipeError(f"an option of {label!r}, which is not compared", hint=did_you_mean(label, labels))
    extra = [point(text, labels) for text in versus]
    planned = []
    for label, name in labels.items():
        more = [b for other, b in extra if other == label]
        planned.append(_method(label, name, (*points, *more), options.get(label, {}), base, hub))
    return [replace(m, budgets=tuple(sorted(set(m.budgets)))) for m in planned]


def point(text: str, labels: Mapping[str, Any]) -> tuple[str, float]:
    """`best-of-n@128` → ("best-of-n", 128.0)."""
    label, at, number = text.rpartition("@")
    try:
        budget = float(number)
    except ValueError:
        budget = 0.0
    if not at or not 0 < budget < float("inf"):
        raise RecipeError(f"--versus {text!r}", expected="METHOD@BUDGET, as in best-of-n@128")
    if label not in labels:
        raise RecipeError(f"--versus {text!r}: {label!r} is not compared", hint=did_you_mean(label, labels))
    return label, budget


def _method(
    label: str, name: str, budgets: tuple[float, ...], options: Mapping[str, Any], base: Recipe, hub: PluginHub
) -> Method:
    for key in ("name", "budget", "steps"):
        if key in options:
            raise RecipeError(
                f"option {label}.{key}", expected="an option of the sampler, or chains; budgets are --budgets"
            )
    sampler = sampler_class(hub.get("sampler", name, "samplers"))
    spec = base.sampler
    settings = {**(spec.options if spec.name == name else {}), **options}
    smallest = min(budgets)
    chains = settings.pop("chains", spec.chains)
    if chains is not None and (not isinstance(chains, int) or chains < 1):
        raise RecipeError(f"{label} has {chains!r} chains", expected="a whole number above 0")
    if chains is not None and chains > smallest:
        raise RecipeError(
            f"{label} has {chains} chains, and a budget of {smallest:g} samples",
            expected="budgets of at least the chains, each of which starts with one sample",
            hint=f"fewer chains (--option {label}.chains={max(1, int(smallest))}), or larger --budgets",
        )
    if smallest < 1:
        raise RecipeError(f"a budget of {smallest:g} samples", expected="at least 1: a chain starts with one sample")
    if chains is not None:
        settings["chains"] = chains
    return Method(label, name, settings, sampler.default_relaxation is not None, budgets)
