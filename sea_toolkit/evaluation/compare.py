"""Samplers side by side: the same prompts, energy and budgets, with the intervals that say what differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.cells import ProgressMeter, Watch, Work
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.evaluation.methods import plan_methods, point
from sea_toolkit.evaluation.plans import check_lists, refuse_repeated
from sea_toolkit.evaluation.report import Report
from sea_toolkit.evaluation.rows import COMPARISON, RowStore
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.interruption import OnInterrupt, pressed_again, tell
from sea_toolkit.runs.measures import refuse_measured
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import Table
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.conversation import Messages, Prompt, Row, as_prompts
from sea_toolkit.util.progress import Progress


@own_torch_state()
def compare(
    prompts: Sequence[str | Messages | Row],
    *,
    samplers: Sequence[str],
    budgets: Sequence[float],
    reward: Rewards | None = None,
    energies: Energies | None = None,
    recipe: RecipeSource | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: Sequence[int] = (0,),
    judges: Sequence[str | Mapping[str, Any]] = (),
    versus: Sequence[str] = (),
    select: str = "energy",
    batch: int = 16,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    out: str | Path | None = None,
    hub: PluginHub | None = None,
    watch: Watch | None = None,
    on_interrupt: OnInterrupt = "return",
    progress: bool | Progress = False,
    command: str | None = None,
    max_new_tokens: int | None = None,
    relaxation: Table | None = None,
    initializer: Table | None = None,
    constraints: Sequence[Mapping[str, Any]] | None = None,
    draft: str | None = None,
    rewrite: int | Mapping[str, Any] | None = None,
    model: str | None = None,
    device: str | None = None,
    dtype: DType | None = None,
    attention: Attention | None = None,
    template: Template | None = None,
    system: str | None = None,
    template_options: Mapping[str, Any] | None = None,
) -> Report:
    """Run every sampler at every budget and seed on the same prompts.

    Args:
        prompts: different texts or conversations; the statistics are over them.
        samplers: names, or `label=name` to have one twice with different options.
        budgets: in samples per prompt, see `Ledger`.
        reward: as for `align`.
        energies: as for `align`.
        recipe: as for `align`; its budget and steps give way to `budgets`. Its relaxation is for samplers that relax.
        policy: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.
        progress: as for `align`.
        options: label → option → value, for that sampler alone; `chains` is one.
        seeds: each prompt's numbers are averaged over them before anything else.
        judges: rewards outside of the energy that read the chosen texts, see `Judge`; the ledger does not count them.
        versus: `label@budget`: a point that all others are compared with as well.
        select: which of the texts a run met is its answer: that of the lowest "energy", or of the highest "reward".
        batch: prompts that share batches. A run ends when its batch has spent the budget on average, so this is part
            of the comparison.
        out: folder; what is finished there is not done again, and the report is written after each batch.
        watch: is called with the progress.
        on_interrupt: what Ctrl-C does: "return" gives the report of what is finished, with status "interrupted";
            "raise" raises; so does a second Ctrl-C within three seconds.
        command: the command that the report prints to reproduce it.
        max_new_tokens: as for `align`.
        relaxation: as for `align`.
        initializer: as for `align`.
        constraints: as for `align`.
        draft: one text to improve, for all prompts.
        rewrite: as for `align`.
        model: as for `align`.
        device: as for `align`.
        dtype: as for `align`.
        attention: as for `align`.
        template: as for `align`.
        system: as for `align`.
        template_options: as for `align`.

    Raises:
        RecipeError: unknown names or options, impossible budgets, a judge that is in the energy, no prompts.
        SeaError: the folder holds another comparison.
        KeyboardInterrupt: Ctrl-C, see `on_interrupt`; what was finished is in the folder.
    """
    texts = as_prompts(prompts)
    check_lists(samplers=samplers, budgets=budgets, seeds=seeds, judges=judges, versus=versus)
    _check(texts, seeds, select, batch)
    settings = {
        "max_new_tokens": max_new_tokens, "relaxation": relaxation, "initializer": initializer,
        "constraints": constraints, "draft": draft, "rewrite": rewrite, "model": model, "device": device,
        "dtype": dtype, "attention": attention, "template": template, "system": system,
        "template_options": template_options,
    }  # fmt: skip
    setup = EvaluationSetup.of(
        COMPARISON, recipe, reward, energies, settings, policy=policy, hub=hub, allow_code=allow_code,
        allow_network=allow_network, trust_remote_code=trust_remote_code, out=out, progress=progress, watch=watch,
    )  # fmt: skip
    session, base = setup.session, setup.call.recipe
    methods = plan_methods(samplers, budgets, options or {}, versus, base, session.hub)
    compositions = [setup.compose(m.recipe(base, m.budgets[0], 0)) for m in methods]
    refuse_measured(compositions[0].parts, "compare")
    if compositions[0].joint:
        raise RecipeError(
            f"the energy {compositions[0].joint[0]!r} is of all chains of a prompt, and compare looks at one answer",
            hint="leave it out here",
        )
    texts = compositions[0].prompts(texts)
    panel = [Judge(spec, session.finder) for spec in judges]

    def check(tokenizer: Any) -> None:
        compositions[0].check(session.finder, tokenizer)
        for judge in panel:
            judge.refuse_if_in(compositions[0])

    with setup.loaded(texts, check) as loaded:
        batches = [texts[i : i + batch] for i in range(0, len(texts), batch)]
        fixed = {
            "recipe": _shared(base),
            **setup.tied_to(loaded, compositions[0], texts, batch),
            "select": select,
            "judges": [judge.spec for judge in panel],
        }
        plan = {"fixed": fixed, "methods": {m.label: m.to_dict() for m in methods}}
        store = RowStore(setup.folder, plan, COMPARISON)
        for judge in panel:
            judge.load(loaded, texts, base.max_new_tokens)
        points = [point(text, {m.label: m for m in methods}) for text in versus]
        report = Report(store, texts, methods, list(seeds), plan, points, setup.folder, command)
        work = Work(base, methods, session, setup.call.own, setup.call.allowed, panel, store, select)
        total = sum(sum(m.budgets) for m in methods) * len(texts) * len(seeds)
        try:
            _run_all(work, report, setup.meter(total), batches, seeds)
        except KeyboardInterrupt:
            if pressed_again() or on_interrupt == "raise":
                raise
            report.interrupted()
            tell(report.notes[-1])
    return report


def _run_all(
    work: Work, report: Report, meter: ProgressMeter, batches: Sequence[Sequence[Prompt]], seeds: Sequence[int]
) -> None:
    """Every method on every batch and seed; the report is written after each batch."""
    first = 0
    for index, texts in enumerate(batches):
        for seed in seeds:
            for method in work.methods:
                meter.enter(f"batch {index + 1} of {len(batches)}, seed {seed}, {method.label}")
                work.cell(method, seed, index, texts, first, meter)
        first += len(texts)
        report.write(final=index == len(batches) - 1)


def _check(texts: Sequence[str], seeds: Sequence[int], select: str, batch: int) -> None:
    refuse_repeated(texts)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**63:
        raise RecipeError(f"seeds {list(seeds)}", expected="different whole numbers from 0, below 2**63")
    if select not in ("energy", "reward"):
        raise RecipeError(f"select = {select!r}", expected='"energy" or "reward"')
    if batch < 1:
        raise RecipeError(f"a batch of {batch} prompts", expected="at least 1")


def _shared(base: Recipe) -> dict[str, Any]:
    """The recipe without what each method sets for itself."""
    data = base.model_dump(mode="json", exclude_none=True)
    return {k: v for k, v in data.items() if k not in ("sampler", "seed")}
