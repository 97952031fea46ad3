"""A recipe: names and numbers, from a TOML file, command-line flags or Python arguments. It contains no code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from sea_toolkit.errors import RecipeError, did_you_mean, shortened
from sea_toolkit.models.policy_spec import PolicySpec, Strict
from sea_toolkit.registry.recipe_file import TABLE, RecipeFile, recipe_in
from sea_toolkit.runs.calibration_table import CalibrationTable
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.plain_data import plain_data
from sea_toolkit.util.version import refuse_newer

AUTO = "auto"
"""The sampler of a recipe that leaves the choice to its energy, its budget and its start."""
POLICY_START = "base-samples"
"""The initializer of a recipe that names none."""
MOST = 2**16
"""Chains of a prompt, and rewrites of an answer: more of them is a slip of the finger."""


Share = Annotated[float, Field(ge=0, le=1)]
"""A part of the run that is done."""


class PluginSpec(BaseModel):
    """A plugin by name; every other key is one of its options and is checked when the recipe is composed."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class SamplerSpec(PluginSpec):
    """The sampler, how many chains it runs per prompt, and for how long."""

    name: str = AUTO
    chains: int | None = Field(default=None, gt=0, le=MOST)
    steps: int | None = Field(default=None, gt=0, le=10**9)
    budget: float | None = Field(default=None, gt=0, le=1e9)


class TermSpec(PluginSpec):
    """What all terms have: a label, and the part of the run in which they count."""

    active: tuple[Share, Share] = (0.0, 1.0)
    label: str | None = None

    @pydantic.field_validator("active", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class EnergySpec(TermSpec):
    """One term of the energy, its weight (a number, a schedule or a column) and its compass: a file, or "none".

    What `scale` and `want` may be is checked when the recipe is composed.
    """

    weight: float | dict[str, Any] = 1.0
    scale: Any = None
    want: Any = None
    maximin: str | None = None
    compass: str | None = None


class ConstraintSpec(TermSpec):
    """A limit on what an energy reads, a number or a column; a hinge adds `weight` nats per unit outside of it."""

    max: float | dict[str, Any] | None = None
    min: float | dict[str, Any] | None = None
    method: Literal["multiplier", "hinge"] = "multiplier"
    weight: float | dict[str, Any] | None = None


REQUEST = (
    "Rewrite the answer below so that it is clear, correct and well written. Reply with the new answer alone.\n\n"
    "Question: {prompt}\n\nAnswer: {response}"
)


class RewriteSpec(Strict):
    """The post-step `rewrite`: how many rewrites of the answer compete with it, and how the policy is asked."""

    samples: int = Field(default=4, gt=0, le=MOST)
    prompt: str = Field(default=REQUEST, pattern=r"\{response\}")


class Recipe(Strict):
    """Everything a run depends on, except the prompts.

    Raises (from `load` and `parse`):
        RecipeError: unreadable TOML, an unknown key (with a suggestion), a value of the wrong type, or a recipe that
            requires a newer version.
    """

    requires: str | None = None
    policy: PolicySpec = Field(default_factory=PolicySpec)
    sampler: SamplerSpec = Field(default_factory=lambda: SamplerSpec())
    relaxation: PluginSpec | None = None
    initializer: PluginSpec = Field(default_factory=lambda: PluginSpec(name=POLICY_START))
    energies: list[EnergySpec] = Field(default_factory=list)
    constraints: list[ConstraintSpec] = Field(default_factory=list)
    rewrite: RewriteSpec | None = None
    max_new_tokens: int = Field(default=48, gt=0, le=2**20)
    seed: int = Field(default=0, ge=0, lt=2**63)
    calibration: CalibrationTable | None = None

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a TOML file, or the `recipe.json` of a run's folder."""
        return cls.parse(recipe_in(user_path(path, "the name of the recipe"))(), where=str(path))

    @classmethod
    def parse(cls, data: dict[str, Any], where: str = "recipe") -> Recipe:
        """Check plain data; its options, if it has any, get their defaults."""
        data = plain_data(data, f"the {where}" if where == "recipe" else where)
        refuse_newer(data.get("requires"), where)
        data = RecipeFile(data, where)() if TABLE in data else data
        try:
            recipe = cls.model_validate(data)
        except pydantic.ValidationError as error:
            raise _explained(error, where) from error
        _refuse_not_finite(recipe.model_dump(), where)
        return recipe


def _refuse_not_finite(value: Any, where: str, place: str = "") -> None:
    """Refuse what options hold of infinities and NaN: the recipe.json of a run could not give them back."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(
            f"{where}: {place} is {value}", expected="a finite number", hint="a large number, or leave the option out"
        )
    if isinstance(value, dict):
        for key, entry in value.items():
            _refuse_not_finite(entry, where, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            _refuse_not_finite(entry, where, f"{place}[{index}]")


def _explained(error: pydantic.ValidationError, where: str) -> RecipeError:
    """The first mistake, in the words of the other errors."""
    first = error.errors(include_url=False, include_context=False)[0]
    loc = [k for k in first["loc"] if k not in ("float", "dict[str,any]")]  # without arms of unions
    place = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in loc).lstrip(".")
    if first["type"] == "extra_forbidden" and first["loc"][-1] == "trust_remote_code":
        return RecipeError(
            f"{where}: {place}: a recipe cannot allow code",
            expected="names and numbers",
            hint="--trust-remote-code (trust_remote_code=True in Python), if you trust the model's authors",
        )
    if first["type"] == "extra_forbidden":
        owner: Any = Recipe
        for key in first["loc"][:-1]:
            annotation = owner.model_fields[str(key)].annotation
            owner = next((kind for kind in get_args(annotation) if hasattr(kind, "model_fields")), annotation)
        return RecipeError(
            f"{where}: unknown key {place!r}", hint=did_you_mean(str(first["loc"][-1]), owner.model_fields)
        )
    got = "nothing" if first["type"] == "missing" else shortened(repr(first["input"]))
    return RecipeError(f"{where}: {place} is {got}", expected=first["msg"].lower())
