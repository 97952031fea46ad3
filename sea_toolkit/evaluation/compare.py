"""Samplers side by side: the same prompts, energy and budgets, with the intervals that say what differs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.cells import ProgressMeter, Watch
from sea_toolkit.evaluation.comparison import Comparison
from sea_toolkit.evaluation.methods import plan_methods, point
from sea_toolkit.evaluation.plans import check_lists, refuse_repeated, versions
from sea_toolkit.evaluation.report import Report
from sea_toolkit.evaluation.rows import COMPARISON, RowStore
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.evaluation.spread import Piece, Spread, engine_for, remove_work, threads_of
from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.interruption import OnInterrupt, pressed_again, tell
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import Table
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.util.conversation import Messages, Row, as_prompts
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
    engine: str | Mapping[str, Any] | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
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
        engine: who starts workers for it: "local", "ray", or a table of a name and options; it needs `out`.
        workers: at a time, of `engine` or of "local".
        gpus_per_worker: of each; a part of one if several share it.
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
        SeaError: the folder holds another comparison; a run of a worker cannot be done, which is named.
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
    crew = engine_for(setup, engine, workers, gpus_per_worker)
    methods = plan_methods(samplers, budgets, options or {}, versus, setup.call.recipe, setup.session.hub)
    comparison = Comparison(setup, texts, methods, seeds, judges, select, batch)
    points = [point(text, {m.label: m for m in methods}) for text in versus]
    with ExitStack() as stack:
        known: dict[str, Any] | None
        if crew is None:
            loaded = stack.enter_context(setup.loaded(comparison.texts, comparison.check))
            comparison.load_judges(loaded)
            known = versions(loaded)
        else:
            known = stack.enter_context(setup.held())
        plan = comparison.plan(known, threads_of(setup, crew))
        store = RowStore(setup.folder, plan, COMPARISON)
        report = Report(store, comparison.texts, methods, list(seeds), plan, points, setup.folder, command)
        meter = setup.meter(sum(sum(m.budgets) for m in methods) * len(texts) * len(seeds))
        try:
            if crew is None:
                _run_here(comparison, report, meter)
            else:
                spread = Spread(crew, setup, store, comparison.asked(), comparison.software, trust_remote_code, meter)
                _run_spread(comparison, report, meter, spread)
        except KeyboardInterrupt:
            if pressed_again() or on_interrupt == "raise":
                raise
            report.interrupted()
            tell(report.notes[-1])
        else:
            remove_work(setup)
    return report


def _run_here(comparison: Comparison, report: Report, meter: ProgressMeter) -> None:
    """Every cell, one after the other; the report is written after each batch."""
    work = comparison.work(report.store)
    for index, cells in itertools.groupby(comparison.cells, lambda cell: cell.batch):
        for cell in cells:
            comparison.do(cell, work, meter)
        report.write(final=index == len(comparison.batches) - 1)


def _run_spread(comparison: Comparison, report: Report, meter: ProgressMeter, spread: Spread) -> None:
    """The cells that have no rows, by workers; the report is written after each batch, as it would be here."""
    asked = [(cell, comparison.piece(cell, report.store.done)) for cell in comparison.cells]
    pieces = [piece for _, piece in asked if piece is not None]
    meter.done = meter.total - sum(piece.samples for piece in pieces)
    left = Counter(piece.batch for piece in pieces)

    def after(piece: Piece) -> None:
        left[piece.batch] -= 1
        if not left[piece.batch]:
            report.write(final=piece.batch == len(comparison.batches) - 1)

    spread.do(pieces, after)
    if not left[len(comparison.batches) - 1]:
        report.write(final=True)


def _check(texts: Sequence[str], seeds: Sequence[int], select: str, batch: int) -> None:
    refuse_repeated(texts)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**63:
        raise RecipeError(f"seeds {list(seeds)}", expected="different whole numbers from 0, below 2**63")
    if select not in ("energy", "reward"):
        raise RecipeError(f"select = {select!r}", expected='"energy" or "reward"')
    if batch < 1:
        raise RecipeError(f"a batch of {batch} prompts", expected="at least 1")
