"""`Aligner`: models that stay loaded from one call to the next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from typing_extensions import Unpack

from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.problem.base_scale import BaseScale
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import Observer, both, shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.batches import check_count, in_batches, refuse_in_batches, run_batches
from sea_toolkit.runs.folder import SavedRun, new_folder
from sea_toolkit.runs.interruption import OnInterrupt, best_so_far
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.overrides import Table, build_recipe
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.settings import SamplingSettings
from sea_toolkit.runs.together import join_for
from sea_toolkit.util.conversation import Messages, Prompt, Row, as_prompts, is_one_prompt
from sea_toolkit.util.halt import Halt
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress


class RunSettings(SamplingSettings, total=False):
    """What `Aligner.align` takes by name; see `align`."""

    reward: Rewards | None
    energies: Energies | None
    recipe: RecipeSource | None
    draft: str | Sequence[str] | None
    explain: bool
    batch: int | None
    allow_code: Collection[str]
    allow_network: Collection[str]
    out: str | Path | None
    checkpoint_every: int
    max_seconds: float | None
    should_stop: Callable[[], bool] | None
    on_event: Observer | None
    on_interrupt: OnInterrupt


class Aligner:
    """A policy, reward models and plugins that stay loaded from one call to the next.

    Args:
        recipe: what all calls share: a `Recipe`, plain data, a TOML file or the name of a recipe.
        policy: a model and tokenizer of one's own as a `Policy`; else the recipe's is loaded at the first call.
        model: the policy's name in the catalog, Hugging Face id or folder.
        device: where it runs; `auto` is the first GPU, or the CPU.
        dtype: of its weights; `auto` is the fastest that the device computes in.
        attention: how it computes attention, as transformers names it.
        template: whether prompts are put into its chat template.
        system: a system message for prompts without one.
        template_options: variables of the chat template.
        hub: plugins; by default all that are installed.
        trust_remote_code: whether Python that comes with a model (the policy, a reward, a judge) may run.
        memory_limit: what this process may use on a device, models included, as bytes or a text such as "4GiB"; else
            what the environment variable `SEA_MEMORY_LIMIT` says, else most of what is free. It belongs to the machine
            and not to the recipe: passes through models are cut into parts that fit.
        progress: True shows on stderr how far a call is; a function is called as `progress(done, total, what)` while
            something is loaded or downloaded.

    Raises:
        RecipeError: the recipe is wrong, or the memory limit is none.
    """

    def __init__(
        self,
        recipe: RecipeSource | None = None,
        *,
        policy: Policy | None = None,
        model: str | None = None,
        device: str | None = None,
        dtype: DType | None = None,
        attention: Attention | None = None,
        template: Template | None = None,
        system: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        hub: PluginHub | None = None,
        trust_remote_code: bool = False,
        memory_limit: str | int | None = None,
        progress: bool | Progress = False,
    ) -> None:
        settings = {
            "model": model, "device": device, "dtype": dtype, "attention": attention,
            "template": template, "system": system, "template_options": template_options,
        }  # fmt: skip
        self._live, told = watched(progress)
        self.session = Session(
            hub,
            policy=policy,
            progress=told,
            trust_remote_code=trust_remote_code,
            memory_limit=memory_limit,
            joins=True,
        )
        self.recipe = build_recipe(recipe, None, settings, hub=self.session.hub)

    @property
    def policy(self) -> Policy:
        """The policy, which is loaded where it has not been: for `compare(…, policy=…)`, or to look at.

        Raises:
            ModelError: it cannot be found, downloaded or read.
        """
        join_for(self.recipe)
        with shown(self._live):
            return self.session.policy(self.recipe.policy)

    def __repr__(self) -> str:
        policy = self.session.own_policy or self.session.loaded
        return f"Aligner({self.recipe.policy.model!r}, not loaded yet)" if policy is None else f"Aligner({policy!r})"

    @overload
    def align(  # type: ignore[overload-overlap]  # a text is a sequence of texts, too
        self, prompts: str | Messages | Row, **settings: Unpack[RunSettings]
    ) -> Result: ...
    @overload
    def align(self, prompts: Sequence[str | Messages | Row], **settings: Unpack[RunSettings]) -> list[Result]: ...
    def align(
        self,
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
        allow_code: Collection[str] = (),
        allow_network: Collection[str] = (),
        out: str | Path | None = None,
        checkpoint_every: int = 10,
        max_seconds: float | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_event: Observer | None = None,
        on_interrupt: OnInterrupt = "return",
    ) -> Result | list[Result]:
        """Align the policy's answers to prompts; the arguments are those of `sea_toolkit.align`.

        Args:
            recipe: another recipe than the aligner's; its policy has to be the same to stay loaded.
        """
        settings = {
            "sampler": sampler, "chains": chains, "steps": steps, "budget": budget, "relaxation": relaxation,
            "initializer": initializer, "constraints": constraints, "draft": draft, "rewrite": rewrite,
            "max_new_tokens": max_new_tokens, "seed": seed,
        }  # fmt: skip
        base = self.recipe if recipe is None else recipe
        call = Asked.of(self.session, base, reward, energies, settings, allow_code, allow_network)
        join_for(call.recipe)
        asked, folder = as_prompts(prompts), None if out is None else user_path(out, "out")

        check_count("checkpoint_every", checkpoint_every)
        halt = Halt(max_seconds, should_stop)
        batches = in_batches(asked, batch)
        if len(batches) > 1:
            refuse_in_batches(call.recipe, folder, len(batches))
            call.compose(self.session).prompts(asked)  # refuses those of the last batch as well

        scales: dict[str, BaseScale] = {}

        def run() -> list[Result]:
            with shown(self._live):
                return run_batches(batches, run_one)

        def run_one(some: Sequence[Prompt], occurrences: Sequence[int]) -> list[Result]:
            composition = call.compose(self.session)
            with new_folder(folder):
                run = self.session.run(
                    composition,
                    some,
                    folder=folder,
                    checkpoint_every=checkpoint_every,
                    on_event=both(self._live, on_event),
                    occurrences=occurrences,
                    explains=explain,
                    halt=halt,
                )
                if folder is not None:
                    dated = _dated(call.recipe, run.problem.policy)
                    weights = {k: weight for k, (weight, _) in call.own.items()}
                    SavedRun(dated, composition.prompts(some), weights, checkpoint_every, explain).write(folder)
                weighing = run.problem.run.weighing
                weighing.scales |= scales  # those of the first batch are those of all
                results = run.execute()
                scales.update(weighing.scales)
                return results

        results = best_so_far(run, on_interrupt, folder)
        return results[0] if is_one_prompt(prompts) else results


def _dated(recipe: Recipe, policy: Policy) -> Recipe:
    """The recipe with the date that its chat template reads: a resumed run reads the one that it began with."""
    if policy.chat is None or not policy.chat.reads_date:
        return recipe
    spec = recipe.policy.model_copy(update={"date": policy.chat.date.isoformat()})
    return recipe.model_copy(update={"policy": spec})
