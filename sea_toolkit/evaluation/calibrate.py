"""Scales and weights from the policy's own answers to a set of prompts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.evaluation.base_answers import BaseAnswers, check_draws, draw_base_answers
from sea_toolkit.evaluation.calibration_plan import Plan, plan_for
from sea_toolkit.evaluation.calibration_weights import weights_of_targets
from sea_toolkit.evaluation.term_statistics import TermStatistics, statistics_of
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.base_scale import base_scale, no_scale
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.calibration_table import CalibratedTerm, CalibrationTable
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import finite
from sea_toolkit.runs.session import Session
from sea_toolkit.util.conversation import Messages, Row, as_prompts
from sea_toolkit.util.progress import Progress
from sea_toolkit.util.version import VERSION

SAMPLES = 16
"""Answers per prompt, if no number is given."""


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes:
        recipe: the recipe with the table `[calibration]`, ready for `align`.
        terms: what the base answers say, one entry for each term.
        prompts: how many there were.
        samples: answers to each of them.
        effective: answers per prompt that count under the weights of the targets; None without targets.
        notes: what a person should know.
    """

    recipe: Recipe
    terms: list[TermStatistics]
    prompts: int
    samples: int
    effective: float | None
    notes: list[str]

    @property
    def table(self) -> CalibrationTable | None:
        """What was found; None if no term of the recipe asks for a number."""
        return self.recipe.calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite are None."""
        return {
            "calibration": None if self.table is None else self.table.model_dump(mode="json", exclude_none=True),
            "prompts": self.prompts,
            "samples": self.samples,
            "effective": self.effective,
            "terms": [_plain(asdict(term)) for term in self.terms],
            "notes": self.notes,
        }


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    data["quantiles"] = {str(q): finite(value) for q, value in data["quantiles"].items()}
    return {key: finite(value) if isinstance(value, float) else value for key, value in data.items()}


@own_torch_state()
def calibrate(
    prompts: Sequence[str | Messages | Row],
    *,
    recipe: RecipeSource | None = None,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    model: str | None = None,
    device: str | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    hub: PluginHub | None = None,
    progress: bool | Progress = False,
) -> Calibration:
    """Find the numbers behind `scale = "base-std"` and `want` on the policy's own answers to prompts.

    The scale of a term is its standard deviation over the answers to a prompt, pooled over prompts. The weights of
    targets are those under which base answers, tilted by exp(−energy) against the policy, have the wanted means; what
    the tilt changes least beside that. Limits (`constraints`) take no part.

    Args:
        prompts: such as the recipe is for, texts or conversations.
        recipe: as for `align`.
        reward: as for `align`.
        energies: as for `align`.
        samples: answers per prompt.
        seed: of the draws.
        model: as for `align`.
        device: as for `align`.
        policy: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.
        progress: as for `align`.

    Raises:
        RecipeError: a term that is the same for all answers to a prompt, a target that the answers do not reach,
            targets that contradict each other; or as `align`.
    """
    asked = as_prompts(prompts)
    check_draws(samples, seed, len(asked), fewest=2)
    live, told = watched(progress)
    session = Session(hub, policy=policy, progress=told, trust_remote_code=trust_remote_code)
    settings = {"model": model, "device": device}
    call = Asked.of(session, recipe, reward, energies, settings, allow_code, allow_network)
    with shown(live):
        plan = plan_for(session, call.recipe, call.own, call.allowed)
        rows = plan.composition.prompts(asked)
        answers = draw_base_answers(session, plan.composition, rows, samples, seed, told)
    return _calibration(call.recipe, plan, answers, seed)


def _calibration(recipe: Recipe, plan: Plan, answers: BaseAnswers, seed: int) -> Calibration:
    measured = {label: base_scale(values) for label, values in answers.values.items()}
    for label, measure in plan.measures.items():
        if measure.asks and not measured[label].deviation:
            raise no_scale(label, measured[label])
    deviations = {label: _short(scale.deviation) for label, scale in measured.items()}
    scales = {k: deviations[k] if m.scale is None else m.scale for k, m in plan.measures.items()}
    tilted = weights_of_targets(plan.wanted, answers, deviations, scales)
    found = {} if tilted is None else dict(zip(plan.wanted, map(_short, tilted.weights.tolist()), strict=True))
    prompts, samples = answers.nll.shape
    table = CalibrationTable(
        policy=answers.policy, max_new_tokens=recipe.max_new_tokens, prompts=prompts, samples=samples, seed=seed,
        version=VERSION, others=plan.others if plan.wanted else None,
        terms={
            label: CalibratedTerm(
                term=measure.term, deviation=deviations[label], want=measure.want, weight=found.get(label)
            )
            for label, measure in plan.measures.items() if measure.asks
        },
    )  # fmt: skip
    weights = answers.weights | {label: w * scales[label] / deviations[label] for label, w in found.items()}
    return Calibration(
        recipe=recipe.model_copy(update={"calibration": table if table.terms else None}),
        terms=statistics_of(answers, deviations, weights, scales, plan.wanted),
        prompts=prompts,
        samples=samples,
        effective=None if tilted is None else tilted.effective,
        notes=[
            f"{label} reaches want = {plan.wanted[label]:g} without a weight: its weight is 0"
            for label, weight in found.items()
            if weight == 0
        ],
    )


def _short(number: float) -> float:
    """Six digits: a person reads them, and more are noise."""
    return float(f"{number:.6g}")
