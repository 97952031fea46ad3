"""How a run goes on: what its folder has to share with this process, and how long it is to be now."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.length import Length
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.run import Run
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.stored import StoredRun
from sea_toolkit.util import run_files
from sea_toolkit.util.differences import differences
from sea_toolkit.util.files import remove
from sea_toolkit.util.halt import Halt


def refuse_missing_file(stored: StoredRun, hub: PluginHub, folder: Path) -> None:
    """Raises: SeaError if the run uses a one-file plugin that was not given again."""
    manifest = stored.manifest or {"loaded": [], "identity": {"plugins": {}}}
    used = {facts["distribution"] for facts in manifest["identity"]["plugins"].values()}
    here = {record.distribution for record in hub.records if record.from_user}
    for plugin in manifest["loaded"]:
        distribution = plugin["plugin"].partition(":")[0]
        if "file" in plugin and distribution in used - here:
            again = shlex.join(["sea-toolkit", "resume", str(folder), "--plugin", plugin["file"]])
            raise SeaError(
                f"the run in {folder} uses the plugin in {plugin['file']} ({plugin['version']}), and it was not given",
                expected="the same file again: no code is kept in a run's folder",
                hint=f"{again} (in Python: hub=PluginHub.discover(files=[…]))",
            )


def resumed(
    session: Session,
    composition: Composition,
    stored: StoredRun,
    folder: Path,
    *,
    longer: Length | None = None,
    force: bool = False,
    on_event: Callable[[Event], None] | None = None,
    halt: Halt | None = None,
) -> list[Result]:
    """Go on with the run of a folder, which this process holds, to its end.

    Args:
        session: with the plugins and models.
        composition: of the stored recipe.
        stored: what the folder holds.
        folder: of the run.
        longer: how long it is to be in all; None: as its folder says.
        force: see `continue_run`.
        on_event, halt: see `Run`.

    Raises:
        SeaError: as `continue_run`, and as a run of this composition.
    """
    saved = stored.saved
    run = session.run(
        composition,
        saved.prompts,
        folder=folder,
        checkpoint_every=saved.checkpoint_every,
        on_event=on_event,
        length=longer or length_of(stored),
        occurrences=saved.occurrences,
        explains=saved.explains,
        halt=halt,
    )
    continue_run(run, stored, folder, longer is not None, force)
    return run.execute()


def length_of(stored: StoredRun) -> Length | None:
    """How long the run is, as its folder says; None if it was killed before it began."""
    return None if stored.manifest is None else Length(**stored.length)


def continue_run(run: Run, stored: StoredRun, folder: Path, longer: bool, force: bool) -> None:
    """Bring a run to where its folder left off, or to its beginning if there is no checkpoint.

    Args:
        run: of the stored recipe and prompts.
        stored: what the folder holds.
        folder: of the run.
        longer: the run's length is a new one; the manifest records it.
        force: go on though plugins or models are others than before; the manifest records it.

    Raises:
        RecipeError: the new length is no more than what was done, or would change the energy of what was met.
        SeaError: another version of a plugin or model.
    """
    if stored.facts is None or stored.manifest is None:  # killed before its first checkpoint
        if longer:
            raise RecipeError(f"the run in {folder} has not begun", hint="resume it without --steps and --budget first")
        remove(folder / run_files.TRACE)
        return
    then: dict[str, Any] = stored.manifest
    changed = differences(then["identity"], run.manifest["identity"])
    if changed and not force:
        raise SeaError(
            f"{folder} was made with other versions:\n  " + "\n  ".join(changed),
            expected="the same plugins, models and packages",
            hint="install those, or go on regardless with --force",
        )
    run.resume()
    if longer:
        _check_longer(run)
        then.setdefault("prolonged", []).append({"at_step": run.step, "steps": run.steps, "budget": run.budget})
    entry = {"at_step": run.step, "changed": changed}
    if changed and entry not in then.get("forced", []):
        then.setdefault("forced", []).append(entry)
    run_files.write_sealed(folder / run_files.MANIFEST, then)
    remove(folder / run_files.ENDED)  # what follows is not what it speaks of
    run.notes += _history(then)


def _check_longer(run: Run) -> None:
    spent = run.problem.ledger.samples
    if (run.steps is not None and run.steps <= run.step) or (run.budget is not None and run.budget <= spent):
        raise RecipeError(
            f"the run has done {run.step} steps and spent {spent:.1f} samples per prompt already",
            expected="--steps or --budget for all of it, above that",
        )
    if run.sampler.finished(run.problem, run.state):
        raise RecipeError(f"{run.name} ends by itself after {run.step} steps", hint="start another run")
    then, now = run.problem.weights_at(run.composition.length.end), run.weights
    if other := sorted({label for a, b in zip(then, now, strict=True) for label in a if a[label] != b[label]}):
        raise RecipeError(
            f"the weight of {', '.join(other)} at the end would be another one, and by it the texts so far are ranked",
            hint="start another run",
        )


def _history(manifest: dict[str, Any]) -> list[str]:
    """What a reader of the results should know of how they came about."""
    notes = [
        f"resumed at step {entry['at_step']} with other versions: {line}"
        for entry in manifest.get("forced", [])
        for line in entry["changed"]
    ]
    for entry in manifest.get("prolonged", []):
        end = f"{entry['steps']} steps" if entry["steps"] is not None else f"a budget of {entry['budget']:g} samples"
        notes.append(f"prolonged at step {entry['at_step']} to {end}")
    return notes
