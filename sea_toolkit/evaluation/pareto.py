"""The whole trade-off between objectives: a sweep over weights in few batched runs, and what it is compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.cells import Watch
from sea_toolkit.evaluation.drawing import read_instructions
from sea_toolkit.evaluation.front import Front
from sea_toolkit.evaluation.picks import read_rule
from sea_toolkit.evaluation.plans import check_lists, refuse_repeated, versions
from sea_toolkit.evaluation.rows import SWEEP as SWEEP_FOLDER
from sea_toolkit.evaluation.rows import RowStore
from sea_toolkit.evaluation.setup import EvaluationSetup
from sea_toolkit.evaluation.spread import Spread, engine_for, remove_work, threads_of
from sea_toolkit.evaluation.sweep import Sweep
from sea_toolkit.evaluation.sweep_rounds import After, Do, run_sweep
from sea_toolkit.evaluation.sweep_runs import BEST_OF_N, PROMPTED, SWEEP, Step, SweepWork
from sea_toolkit.evaluation.weight_designs import design_of
from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.batches import check_count
from sea_toolkit.runs.interruption import OnInterrupt, pressed_again, tell
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import Table
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.util.conversation import Messages, Row, as_prompts
from sea_toolkit.util.progress import Progress

STRENGTH = 16.0
"""Nats for each unit of an objective, over all objectives together."""

ANSWERS = 16
"""Answers of the policy for each prompt, which the units are measured on."""


@own_torch_state()
def pareto(
    prompts: Sequence[str | Messages | Row],
    *,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    recipe: RecipeSource | None = None,
    objectives: Sequence[str] = (),
    weights: str | Sequence[str | Sequence[float]] = "grid:5",
    strength: float = STRENGTH,
    best_of_n: bool = True,
    prompted: Mapping[str, str] | Sequence[str] = (),
    pick: Sequence[str | Sequence[float]] = (),
    answers: int = ANSWERS,
    batch: int = 8,
    sampler: Table | None = None,
    chains: int | None = None,
    steps: int | None = None,
    budget: float | None = None,
    relaxation: Table | None = None,
    initializer: Table | None = None,
    constraints: Sequence[Mapping[str, Any]] | None = None,
    draft: str | None = None,
    max_new_tokens: int | None = None,
    seed: int | None = None,
    policy: Policy | None = None,
    model: str | None = None,
    device: str | None = None,
    dtype: DType | None = None,
    attention: Attention | None = None,
    template: Template | None = None,
    system: str | None = None,
    template_options: Mapping[str, Any] | None = None,
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
) -> Front:
    """Run the same prompts under many weights of the objectives, and put the trade-off together.

    Args:
        prompts: different texts or conversations; the statistics are over them.
        reward: as for `align`; the size of an objective's weight gives way to the sweep, its sign says what is wanted.
        energies: as for `align`.
        recipe: as for `align`.
        objectives: labels of the terms that are traded off; all rewards and energies if there are none.
        weights: `grid:N`, `simplex:N`, `adaptive:N`, or the vectors, each with a number for every objective.
        strength: nats for each unit of an objective, which the weights share out.
        best_of_n: draw as many answers as the sweep has cost, to be compared with it.
        prompted: label → instruction that asks the policy for the objectives; as many answers are drawn under them.
        pick: how answers will be picked, to refuse now what `Front.pick` would refuse after the sweep.
        answers: of the policy for each prompt, which units and reference point are measured on.
        batch: prompts in flight, each of them under all weights.
        sampler: as for `align`.
        chains: as for `align`, for each weight.
        steps: as for `align`, for each weight.
        budget: as for `align`, for each weight.
        relaxation: as for `align`.
        initializer: as for `align`.
        constraints: as for `align`; they hold for all weights.
        draft: one text to improve, for all prompts.
        max_new_tokens: as for `align`.
        seed: as for `align`.
        policy: as for `align`.
        model: as for `align`.
        device: as for `align`.
        dtype: as for `align`.
        attention: as for `align`.
        template: as for `align`.
        system: as for `align`.
        template_options: as for `align`.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        out: folder; what is finished there is not done again, and the report is written after each batch.
        engine: as for `compare`; workers share out the batches of prompts, each of them under all weights.
        workers: as for `compare`.
        gpus_per_worker: as for `compare`.
        hub: as for `align`.
        watch: is called with the progress.
        on_interrupt: what Ctrl-C does: "return" gives the front of what is finished, with status "interrupted";
            "raise" raises; so does a second Ctrl-C within three seconds.
        progress: as for `align`.
        command: the command that the report prints to reproduce it.

    Raises:
        RecipeError: fewer than two objectives, weights that are none, an objective that is the same for all answers of
            the policy, unknown names or options, no prompts.
        SeaError: the folder holds another sweep; a step of a worker cannot be done, which is named.
        KeyboardInterrupt: Ctrl-C, see `on_interrupt`; what was finished is in the folder.
    """
    texts = as_prompts(prompts)
    check_lists(objectives=objectives)
    refuse_repeated(texts)
    for name, value in {"batch": batch, "answers": answers}.items():
        check_count(name, value)
    if not 0 < strength < float("inf"):
        raise RecipeError(f"a strength of {strength:g} nats", expected="a number above 0")
    instructions = dict(prompted) if isinstance(prompted, Mapping) else read_instructions(prompted)
    settings = {
        "sampler": sampler, "chains": chains, "steps": steps, "budget": budget, "relaxation": relaxation,
        "initializer": initializer, "constraints": constraints, "draft": draft, "max_new_tokens": max_new_tokens,
        "seed": seed, "model": model, "device": device, "dtype": dtype, "attention": attention, "template": template,
        "system": system, "template_options": template_options,
    }  # fmt: skip
    setup = EvaluationSetup.of(
        SWEEP_FOLDER, recipe, reward, energies, settings, policy=policy, hub=hub, allow_code=allow_code,
        allow_network=allow_network, trust_remote_code=trust_remote_code, out=out, progress=progress, watch=watch,
    )  # fmt: skip
    crew = engine_for(setup, engine, workers, gpus_per_worker)
    methods = {
        SWEEP: {},
        **({BEST_OF_N: {}} if best_of_n else {}),
        **({PROMPTED: instructions} if instructions else {}),
    }
    planned = Sweep(setup, texts, objectives, strength, answers, batch, methods)
    design = design_of(weights, len(planned.wanted))
    read_rule(pick, [one.label for one in planned.wanted])
    limits = [part.label for part in planned.composition.parts if part.limit is not None]
    with ExitStack() as stack:
        known: dict[str, Any] | None
        if crew is None:
            known = versions(stack.enter_context(setup.loaded(planned.texts, planned.check)))
        else:
            known = stack.enter_context(setup.held())
        plan = planned.plan(known, threads_of(setup, crew), design)
        store = RowStore(setup.folder, plan, SWEEP_FOLDER)
        front = Front(store, planned.texts, planned.wanted, limits, plan, setup.folder, command)
        meter = setup.meter(0.0)
        work = planned.work(store, meter, design.most)
        share = work.share(planned.composition) if planned.composition.sampling is not None else 1.0
        meter.total = len(texts) * (answers + design.most * share * len(methods))
        spread = None
        if crew is not None:
            asked, software = planned.asked(design), planned.software
            spread = Spread(crew, setup, store, asked, software, trust_remote_code, meter)
        try:
            run_sweep(_doing(planned, work, spread, share), front, len(planned.batches), design, methods)
        except KeyboardInterrupt:
            if not store.waits:
                front.write(final=False)
            if pressed_again() or on_interrupt == "raise":
                raise
            front.interrupted()
            tell(front.notes[-1])
        else:
            remove_work(setup)
    return front


def _doing(planned: Sweep, work: SweepWork, spread: Spread | None, share: float) -> Do:
    """What does the steps of a sweep: this process, or workers; `share` as for `Sweep.piece`."""

    def here(steps: Sequence[Step], after: After) -> None:
        for step in steps:
            work.do(step)
            after(step)

    def by_workers(steps: Sequence[Step], after: After) -> None:
        assert spread is not None
        left = [step for step in steps if step.key not in work.store.done]
        taken = iter(left)  # rows are taken over in the order of the pieces
        spread.do([planned.piece(step, share) for step in left], lambda piece: after(next(taken)))

    return here if spread is None else by_workers
