"""A rehearsal: a recipe's own steps with stand-ins for its models, to count what they will cost.

So the run's own ledger counts what the real run will spend, whatever the sampler does; no weights are read. What
depends on the texts is not foreseen: answers that end early cost less, and how often a proposal is accepted may matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.devices import Placement, pick_device, pick_dtype
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_source import find_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.models.skeleton import skeleton
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.loop import StepLoop
from sea_toolkit.runs.parts import Part
from sea_toolkit.runs.stand_ins import Stage, policy_like, stand_in
from sea_toolkit.samplers.base import Info
from sea_toolkit.util.conversation import Row, as_prompts

STEPS = 8
"""Steps that are rehearsed, at most."""


@dataclass(frozen=True)
class Rehearsal:
    """A composition with stand-ins for its models.

    Attributes:
        composition: with stand-ins for its terms, and the sampler that the recipe will have.
        problem: what it was bound to: one prompt.
        foresight: what was looked at.
        outlooks: what each term tells of itself, in the order of `composition.parts`.
        stage: what the stand-ins have seen.
    """

    composition: Composition
    problem: Problem
    foresight: Foresight
    outlooks: Sequence[Outlook]
    stage: Stage

    @property
    def place(self) -> Placement:
        """Where the policy will be."""
        return self.foresight.place

    def steps(self) -> tuple[list[float], int]:
        """Take a few steps.

        Returns:
            Samples spent per prompt after the start and after each step; and the most bytes that the sampler's own
            tensors took, those of the models' passes not among them.
        """
        loop = _Counted(self.composition, self.problem, stop_after=STEPS)
        with LiveBytes() as live:
            loop.take_steps()
        return loop.spent, live.peak


def rehearse(composition: Composition, finder: ModelFinder, prompt_tokens: int) -> Rehearsal:
    """Bind a composition to stand-ins, and let its terms refuse the policy's tokenizer as they will.

    Args:
        composition: of a recipe; it is left as it is.
        finder: from names to models.
        prompt_tokens: about how long the prompt is, its template not counted.

    Raises:
        ModelError: a model cannot be found, or its config tells no size.
        RecipeError: the sampler cannot work with the terms, or as `Composition.check`.
    """
    recipe = composition.recipe
    foresight = _foresight(recipe.policy, finder)
    composition.check(finder, foresight.tokenizer)
    row, outlooks = _prompt(composition, prompt_tokens), []
    for part in (_on(part, row) for part in composition.parts):
        with attribute_errors_to(part.owner, "failed in outlook", user_errors_pass=True):
            outlooks.append(part.energy.outlook(foresight))
    stage = Stage()
    parts = [stand_in(part, outlook, stage) for part, outlook in zip(composition.parts, outlooks, strict=True)]
    few = replace(composition, parts=parts)
    problem = few.bind(policy_like(recipe.policy, foresight, stage), finder, [row])
    return Rehearsal(few, problem, foresight, outlooks, stage)


class _Counted(StepLoop):
    """A run that nobody watches; it remembers what was spent."""

    def __init__(self, composition: Composition, problem: Problem, *, stop_after: int) -> None:
        super().__init__(composition, problem, stop_after=stop_after)
        self.spent: list[float] = []

    def _emit(self, kind: str, info: Info | None = None) -> None:
        if kind in ("start", "step"):
            self.spent.append(self.problem.ledger.samples)


def _foresight(spec: PolicySpec, finder: ModelFinder) -> Foresight:
    device = pick_device(spec.device)
    found = find_policy(spec, finder)
    source, name, base = found.source, found.name, found.base
    tokenizer = read_tokenizer(source, name, trust_remote_code=finder.trust_remote_code, base=base)
    place = Placement(device, pick_dtype(spec.dtype, device))
    return Foresight(finder, tokenizer, name, skeleton("causal", source, name, finder, base), source, place)


def _on(part: Part, row: Row) -> Part:
    """The term for a prompt; where its options come from columns and the cells are none for it, as it is."""
    try:
        return part.on(as_prompts([row]))
    except RecipeError:
        return part


def _prompt(composition: Composition, tokens: int) -> Row:
    """A prompt of about so many tokens, with something in every column that is read."""
    wanted = composition.columns
    columns = dict.fromkeys((*wanted.needed, *wanted.used), "1")
    return {**columns, "prompt": "a" + " a" * max(0, tokens - 1)}
