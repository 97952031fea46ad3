"""A recipe as it runs, with the defaults of everything that it leaves out."""

from __future__ import annotations

from typing import Any

from sea_toolkit.lm.devices import Placed
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.items import Item
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.limit_specs import HINGE_WEIGHT


def resolved(composition: Composition, problem: Problem, place: Placed) -> dict[str, Any]:
    """The recipe as it runs: with the sampler's name, chains and length, and the defaults of what was left out.

    Args:
        composition: a bound composition.
        problem: what it was bound to.
        place: of the policy.
    """
    recipe, policy = composition.recipe, problem.policy
    data: dict[str, Any] = recipe.model_dump(mode="json", exclude_none=True)
    items = {(item.kind, name): item for item in composition.items for name in (item.name, item.qualified)}
    steps, budget = composition.length
    assert composition.sampling is not None
    length = {"steps": steps} if budget is None else {"budget": budget}
    name = composition.sampling.name
    head = {"name": name, "chains": problem.chains, **length}
    data["sampler"] = head | _defaults(items.get(("sampler", name))) | recipe.sampler.options
    if composition.sampling.relaxation is not None:
        relaxation = items.get(("relaxation", composition.sampling.relaxation_name))
        given = composition.sampler.default_relaxation if recipe.relaxation is None else recipe.relaxation.options
        head = {"name": composition.sampling.relaxation_name}
        data["relaxation"] = head | _defaults(relaxation) | {**(given or {}), "top_k": composition.sampling.top_k or 0}
    data["initializer"] = _filled(data["initializer"], items.get(("initializer", recipe.initializer.name)))
    for key in ("energies", "constraints"):
        data[key] = [_filled(spec, items.get(("energy", spec["name"]))) for spec in data.get(key, [])]
    for spec in data["constraints"]:
        if spec["method"] == "hinge":
            spec.setdefault("weight", HINGE_WEIGHT)
    settled = {"device": str(place.device), "dtype": str(place.dtype).removeprefix("torch.")}
    data["policy"] = data["policy"] | settled | {"template": "chat" if policy.chat is not None else "plain"}
    return data


def _filled(spec: dict[str, Any], item: Item | None) -> dict[str, Any]:
    return {"name": spec["name"]} | _defaults(item) | spec


def _defaults(item: Item | None) -> dict[str, Any]:
    """Options of a plugin that have a default; None stands for "left out"."""
    options = [] if item is None else item.options
    return {o.name: o.default for o in options if not o.required and o.default is not None}
