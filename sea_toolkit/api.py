"""The Python entry: `sea.align("…", reward={"sentiment": 8.0})`, and the same run again with `resume`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.loading import load_policy
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs import checkpoint
from sea_toolkit.runs.compose import compose, own_parts
from sea_toolkit.runs.manifest import differences
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.run import Run
from sea_toolkit.util import run_files
from sea_toolkit.util.progress import Progress, silent

Observer = Callable[[Event], None]


@overload
def align(prompts: str, **settings: Any) -> Result: ...
@overload
def align(prompts: Sequence[str], **settings: Any) -> list[Result]: ...
def align(
    prompts: str | Sequence[str],
    *,
    reward: Mapping[str, float] | str | None = None,
    energies: Mapping[str, tuple[float, Callable[..., Any]]] | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    out: str | Path | None = None,
    hub: PluginHub | None = None,
    checkpoint_every: int = 10,
    on_event: Observer | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result | list[Result]:
    """Align the policy's answers to prompts.

    Args:
        prompts: one text (gives one result) or several (a list of results); they share batches.
        reward: a catalog reward or model, or a mapping of names to weights. Adds the reference term with weight 1.
        energies: your own terms: label → (weight, function of a `SoftResponse` that returns `[P, C]`).
        recipe: a `Recipe`, plain data, or a TOML file; the other arguments override it.
        policy: your own model and tokenizer as a `Policy`; else the recipe's is loaded.
        allow_code: functions, as `package.module:function`, that the recipe's energies may run.
        out: folder for recipe, manifest, trace, checkpoints and result.
        hub: plugins; by default all that are installed.
        checkpoint_every: steps between checkpoints (with `out`).
        on_event: called at the start, after each step and at the end.
        progress: called as `progress(done, total, what)` during a download.
        **settings: `sampler`, `chains`, `steps`, `budget`, `max_new_tokens`, `seed`, `model`, `device`, `dtype`,
            `attention`, `template`, `draft` (a text to improve), `rewrite` (how many), as on the command line.

    Raises:
        RecipeError: unknown names or options, no reward, impossible numbers.
        ModelError: a model that cannot be found, read or used together with the policy.
        PluginError: a plugin that the run needs is broken, or fails in the run.
        Interrupted: Ctrl-C; its `results` hold what was found so far.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts:
        raise RecipeError("there are no prompts", expected="at least one")
    hub = hub or PluginHub.discover()
    chosen = build_recipe(recipe, reward, settings, own_terms=bool(energies))
    composition = compose(chosen, hub, own_parts(energies), allow_code)
    folder = None if out is None else Path(out)
    if folder is not None:
        checkpoint.prepare_folder(folder)
    policy = policy or load_policy(chosen.policy, hub, progress or silent, composition.check)
    problem = composition.bind(policy, texts, Ledger(), Clock(), progress)
    hub.load()
    run = Run(composition, problem, folder=folder, checkpoint_every=checkpoint_every, on_event=on_event)
    if folder is not None:
        plain = {"recipe": chosen.model_dump(mode="json", exclude_none=True), "prompts": texts}
        plain["own_terms"] = sorted(energies or {})
        run_files.write_json(folder / run_files.RECIPE, {**plain, "checkpoint_every": checkpoint_every})
    results = run.execute()
    return results[0] if isinstance(prompts, str) else results


def resume(
    folder: str | Path,
    *,
    energies: Mapping[str, tuple[float, Callable[..., Any]]] | None = None,
    hub: PluginHub | None = None,
    policy: Policy | None = None,
    allow_code: Collection[str] = (),
    force: bool = False,
    on_event: Observer | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Go on with a run from its last checkpoint, to the same bytes that an uninterrupted run gives.

    A run that was killed before its first checkpoint starts over.

    Args:
        folder: the run's folder.
        energies: the run's own terms again, if it was started with some: code is not saved.
        allow_code: the functions that the run's energies may run, again: the folder does not allow any.
        force: go on though plugins or models are others than before; the manifest records it.

    Raises:
        SeaError: not a run's folder, a damaged checkpoint, or (without `force`) another version of a plugin or model.
    """
    folder = Path(folder)
    saved = run_files.read_json(folder / run_files.RECIPE)
    recipe = Recipe.parse(saved["recipe"], where=str(folder / run_files.RECIPE))
    if sorted(energies or {}) != saved["own_terms"]:
        raise RecipeError(
            f"the run was started with terms of its own {saved['own_terms']}, and given {sorted(energies or {})} now",
            hint="sea_toolkit.api.resume(folder, energies={…}) with the same functions",
        )
    hub = hub or PluginHub.discover()
    composition = compose(recipe, hub, own_parts(energies), allow_code)
    policy = policy or load_policy(recipe.policy, hub, progress or silent, composition.check)
    problem = composition.bind(policy, saved["prompts"], Ledger(), Clock(), progress)
    hub.load()
    every = saved["checkpoint_every"]
    run = Run(composition, problem, folder=folder, checkpoint_every=every, on_event=on_event)
    if not run.can_resume:  # killed before its first checkpoint
        (folder / run_files.TRACE).unlink(missing_ok=True)
        return run.execute()
    then = run_files.read_json(folder / run_files.MANIFEST)
    changed = differences(then["identity"], run.manifest["identity"])
    if changed and not force:
        raise SeaError(
            f"{folder} was made with other versions:\n  " + "\n  ".join(changed),
            expected="the same plugins, models and packages",
            hint="install those, or go on regardless with --force",
        )
    run.resume()
    if changed:
        then.setdefault("forced", []).append({"at_step": run.step, "changed": changed})
        run_files.write_json(folder / run_files.MANIFEST, then)
        run.notes += [f"resumed at step {run.step} with other versions: {line}" for line in changed]
    return run.execute()
