"""The Python entry: `sea.align("…", reward={"sentiment": 8.0})`, and `resume`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from typing_extensions import Unpack

from sea_toolkit.aligner import Aligner, RunSettings
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import Observer, both, shown, watched
from sea_toolkit.runs.folder import SavedRun, held_folder
from sea_toolkit.runs.interruption import OnInterrupt, best_so_far
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import Table
from sea_toolkit.runs.python_terms import Energies, PythonTerms, Rewards, read_terms
from sea_toolkit.runs.recipe import EnergySpec
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.resuming import refuse_missing_file, resumed
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.settings import PolicySettings
from sea_toolkit.runs.stored import StoredRun, finished
from sea_toolkit.runs.together import join_for
from sea_toolkit.util.conversation import Messages, Row
from sea_toolkit.util.halt import Halt
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress


class AlignSettings(RunSettings, PolicySettings, total=False):
    """What `align` takes by name."""

    policy: Policy | None
    trust_remote_code: bool
    memory_limit: str | int | None
    hub: PluginHub | None
    progress: bool | Progress


@overload
def align(  # type: ignore[overload-overlap]
    prompts: str | Messages | Row, **settings: Unpack[AlignSettings]
) -> Result: ...
@overload
def align(prompts: Sequence[str | Messages | Row], **settings: Unpack[AlignSettings]) -> list[Result]: ...
def align(
    prompts: str | Messages | Row | Sequence[str | Messages | Row],
    *,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    recipe: RecipeSource | None = None,
    sampler: Table | None = None,
    chains: int | None = None,
    steps: int | None = None,
    budget: float | None = None,
    relaxation: Table | None = None,
    initializer: Table | None = None,
    constraints: Sequence[Mapping[str, Any]] | None = None,
    draft: str | Sequence[str] | None = None,
    rewrite: int | Mapping[str, Any] | None = None,
    explain: bool = False,
    max_new_tokens: int | None = None,
    seed: int | None = None,
    batch: int | None = None,
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
    memory_limit: str | int | None = None,
    out: str | Path | None = None,
    hub: PluginHub | None = None,
    checkpoint_every: int = 10,
    max_seconds: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Observer | None = None,
    on_interrupt: OnInterrupt = "return",
    progress: bool | Progress = False,
) -> Result | list[Result]:
    """Align the policy's answers to prompts. `Aligner` does the same and keeps the models loaded.

    Args:
        prompts: one (gives one result) or several (a list of results); they share batches. A prompt is a text or a
            conversation, `[{"role": "system", "content": "…"}, {"role": "user", "content": "…"}]`, that ends with a
            user's turn. It may also be a row of a table, `{"prompt": …, "solution": …}`, whose other cells go to the
            rewards that ask for them.
        reward: what is to be high: the name of a model, a function, a torch module or a sequence classifier, a list of
            those, or label → weight, reward or (weight, reward). Adds the reference term with weight 1.
        energies: what is to be low: label → function, (weight, function), or the options of an energy by name.
        recipe: a `Recipe`, plain data, a TOML file, the name of a recipe (`"detox"`), or a table of such a name and its
            options (`{"name": "keywords", "words": ["rain"]}`); the other arguments override it.
        sampler: a name, or a table with its name and options.
        chains: answers per prompt that the sampler works on.
        steps: how many it takes.
        budget: what a prompt may cost, in base samples; instead of `steps`, or beside them.
        relaxation: a name, or a table with its name and options.
        initializer: a name, or a table with its name and options.
        constraints: limits on energies, as in the recipe.
        draft: a text to improve instead of the policy's own samples, or one for each prompt.
        rewrite: how many rewrites by the policy compete with the answer.
        explain: tell at the end what each token of an answer is worth; see `Result.explain`.
        max_new_tokens: length of an answer, at most.
        seed: of all randomness.
        batch: prompts that are worked on together, at most; all of them if it is None.
        policy: your own model and tokenizer as a `Policy`; else the recipe's is loaded.
        model: the policy's name in the catalog, Hugging Face id or folder.
        device: where it runs; `auto` is the first GPU, or the CPU.
        dtype: of its weights; `auto` is the fastest that the device computes in.
        attention: how it computes attention, as transformers names it.
        template: whether prompts are put into its chat template.
        system: a system message for prompts without one.
        template_options: variables of the chat template.
        allow_code: functions, as `package.module:function`, that the recipe's energies may run.
        allow_network: servers, as `http://host:port`, that the recipe's energies may send prompts and answers to; those
            in `reward=` are allowed by being there.
        trust_remote_code: whether Python that comes with a model (the policy, a reward, a judge) may run.
        memory_limit: what this process may use on a device, models included, as bytes or a text such as "4GiB"; else
            what the environment variable `SEA_MEMORY_LIMIT` says, else most of what is free. It belongs to the machine
            and not to the recipe: passes through models are cut into parts that fit.
        out: folder for recipe, manifest, trace, checkpoints and result.
        hub: plugins; by default all that are installed.
        checkpoint_every: steps between checkpoints (with `out`).
        max_seconds: of sampling, all prompts together; then the best so far is the answer, with status "stopped". Every
            prompt gets the answers that its chains start with, whatever they take.
        should_stop: asked between steps and between tokens; true ends the run in the same way. What it raises ends it
            at once, while the first answers are drawn too.
        on_event: called with an `Event` at the start, after each step and at the end.
        on_interrupt: what Ctrl-C does: "return" ends the run and returns the best so far, with status "interrupted";
            "raise" raises `Interrupted` with that as its `results`; so does a second Ctrl-C within three seconds.
        progress: True shows on stderr how far the call is; a function is called as `progress(done, total, what)` while
            something is loaded or downloaded.

    Raises:
        RecipeError: unknown names or options, no reward, impossible numbers.
        ModelError: a model that cannot be found, read or used together with the policy.
        PluginError: a plugin that the run needs is broken, or fails in the run.
        Interrupted: Ctrl-C, see `on_interrupt`.
        KeyboardInterrupt: Ctrl-C before there was an answer.
    """
    aligner = Aligner(
        recipe, policy=policy, model=model, device=device, dtype=dtype, attention=attention, template=template,
        system=system, template_options=template_options, hub=hub, trust_remote_code=trust_remote_code,
        memory_limit=memory_limit, progress=progress,
    )  # fmt: skip
    return aligner.align(
        prompts, reward=reward, energies=energies, sampler=sampler, chains=chains, steps=steps, budget=budget,
        relaxation=relaxation, initializer=initializer, constraints=constraints, draft=draft, rewrite=rewrite,
        explain=explain, max_new_tokens=max_new_tokens, seed=seed, batch=batch, allow_code=allow_code,
        allow_network=allow_network, out=out, checkpoint_every=checkpoint_every, max_seconds=max_seconds,
        should_stop=should_stop, on_event=on_event, on_interrupt=on_interrupt,
    )  # fmt: skip


def resume(
    folder: str | Path,
    *,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    hub: PluginHub | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    memory_limit: str | int | None = None,
    force: bool = False,
    steps: int | None = None,
    budget: float | None = None,
    max_seconds: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: Observer | None = None,
    on_interrupt: OnInterrupt = "return",
    progress: bool | Progress = False,
) -> list[Result]:
    """Go on with a run from its last checkpoint, to the same bytes that an uninterrupted run gives.

    A run that was killed before its first checkpoint starts over. A finished run gives its results again, and no model
    is loaded. Every file of the folder is checked first.

    Args:
        folder: the run's folder.
        reward: the run's rewards again, if some are Python objects: code is not saved. Names may stay in it.
        energies: the same for energies.
        hub: as for `align`.
        policy: as for `align`.
        max_seconds: as for `align`, of what is still to be done.
        should_stop: as for `align`.
        on_event: as for `align`.
        on_interrupt: as for `align`.
        progress: as for `align`.
        allow_code: the functions that the run's energies may run, again: the folder does not allow any.
        allow_network: the servers that the run's energies may ask, again.
        trust_remote_code: whether Python that comes with a model may run, again.
        memory_limit: as for `align`; a run is not tied to the limit that it began with.
        force: go on though plugins or models are others than before; the manifest records it.
        steps: go on to this many in all, instead of what the recipe says; the manifest records it.
        budget: the same in base samples per prompt.

    Raises:
        RecipeError: `steps` or `budget` is no more than what the run has done, or out of bounds.
        SeaError: not a run's folder, one that another process works in, a file that is damaged, edited or of another
            run, or (without `force`) another version of a plugin or model.
    """
    folder = user_path(folder, "the run's folder")
    longer, halt = Length.asked(steps, budget), Halt(max_seconds, should_stop)
    if longer is None and (done := finished(folder)) is not None:
        if reward or energies:
            _terms_again(done.saved, reward, energies)
        return done.results
    join_for(SavedRun.read(folder).recipe)  # where there is no run, no folder is made
    live, told = watched(progress)
    session = Session(
        hub,
        policy=policy,
        progress=told,
        trust_remote_code=trust_remote_code,
        memory_limit=memory_limit,
        joins=True,
    )

    def go_on() -> list[Result]:
        with shown(live), held_folder(folder):
            stored = StoredRun.read(folder)
            saved = stored.saved
            terms = _terms_again(saved, reward, energies)
            refuse_missing_file(stored, session.hub, folder)
            composition = session.compose(saved.recipe, terms.own, terms.allowed(allow_code, allow_network))
            return resumed(
                session,
                composition,
                stored,
                folder,
                longer=longer,
                force=force,
                on_event=both(live, on_event),
                halt=halt,
            )

    return best_so_far(go_on, on_interrupt, folder)


def _terms_again(saved: SavedRun, reward: Rewards | None, energies: Energies | None) -> PythonTerms:
    """The terms of a saved run that are given in Python.

    Raises:
        RecipeError: others than the run was started with.
    """
    terms = read_terms(reward, energies)
    weights = {label: weight for label, (weight, _) in terms.own.items()}
    if weights != saved.own_terms:
        raise RecipeError(
            f"the run was started with terms of its own {saved.own_terms} (label and weight), and given {weights} now",
            hint="sea_toolkit.resume(folder, reward=…, energies={…}) with the same functions and weights",
        )
    tables = [*terms.tables, *({"name": "reward", "model": k, "weight": w} for k, w in terms.rewards.items())]
    for table in tables:
        if EnergySpec.model_validate(table) not in saved.recipe.energies:
            raise RecipeError(
                f"the run has no term {table}",
                expected="the terms that it was started with",
                hint="a resumed run has those of its recipe; leave the names out",
            )
    return terms
