"""Many prompts in one folder: what `align --batch N --out DIR` and `resume DIR` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sea_toolkit.cli.interrupt import exit_code
from sea_toolkit.cli.output import say, say_error
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.shards.part import Part
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.run_files import MANY
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.events import Event
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.runs.recipe import Recipe
    from sea_toolkit.shards.standing import Standing
    from sea_toolkit.shards.store import Store
    from sea_toolkit.util.progress import Progress
    from sea_toolkit.work.engine import Engine

SOME_FAILED = 3
"""Exit code where all was done that could be, and prompts are left without an answer."""
NAMED = 5
"""Prompts without an answer that are told of one by one."""


def is_many(folder: Path) -> bool:
    """Whether a folder is one of many prompts."""
    return (folder / MANY).is_file()


def refuse(options: Mapping[str, Any], instead: str) -> None:
    """Refuse options that mean nothing for a folder of many prompts.

    Args:
        options: name to whether it was given.
        instead: what is right.

    Raises:
        RecipeError: one was given.
    """
    for name in (name for name, given in options.items() if given):
        raise RecipeError(f"{name} with a folder of many prompts (--batch and --out)", expected=instead)


def begin(
    hub: PluginHub,
    asked: Sequence[Prompt],
    recipe: Recipe,
    allowed: Allowed,
    out: Path,
    batch: int,
    checkpoint_every: int,
    explain: bool,
    skipped: Sequence[str],
    threads: int | None = None,
) -> Store:
    """The folder with its plan: a new one, or the one that is there if it has the same plan.

    Args:
        hub: plugins.
        asked: the prompts.
        recipe: of all of them.
        allowed: what energies may run and ask.
        out: the folder.
        batch, checkpoint_every, explain, skipped: see `Plan`.
        threads: of each worker; None: what torch would take here.

    Raises:
        RecipeError: the recipe or a prompt is wrong, or the folder has another plan.
        SeaError: the folder holds something else, or cannot be written.
    """
    import hashlib

    import torch

    from sea_toolkit.runs.session import Session
    from sea_toolkit.shards.make_plan import make_plan
    from sea_toolkit.shards.prompts_file import content_of
    from sea_toolkit.shards.store import Store

    composition = Session(hub).compose(recipe, allowed=allowed)
    composition.prompts(asked)  # refuses them before anything is written
    content = content_of(asked)
    plan = make_plan(
        composition,
        len(asked),
        hashlib.sha256(content).hexdigest(),
        batch,
        checkpoint_every=checkpoint_every,
        explains=explain,
        threads=threads or torch.get_num_threads(),
        skipped=skipped,
    )
    return Store.begin(out, plan, content)


def carry_out(
    store: Store,
    hub: PluginHub,
    allowed: Allowed,
    trust_remote_code: bool,
    part: Part | None,
    engine: Engine | None,
    again: str | None,
) -> NoReturn:
    """Answer what is left of a part of the shards, say how it went, and end the command.

    Args:
        store: the folder.
        hub: plugins.
        allowed: what energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
        part: which shards; None for all.
        engine: who starts workers; None: this process answers by itself.
        again: what to type to go on.

    Raises:
        RecipeError: a part and an engine.
        SeaError: what is wrong is not the prompts.
    """
    if part is not None and engine is not None:
        raise RecipeError("--shard and an engine", expected="one of them: an engine shares out all shards")
    from sea_toolkit.cli.render import live
    from sea_toolkit.shards.job import ShardJob
    from sea_toolkit.shards.standing import Standing

    try:
        with live(f"loading {store.plan.recipe.policy.model}") as shown:
            watch = _Watch(store, shown.watching("answering", "prompts"))
            if engine is not None:
                engine.run(ShardJob, store.folder, hub, allowed, trust_remote_code, watch.settled)
            else:
                _answer_here(store, hub, allowed, trust_remote_code, part or Part(), watch, shown.progress)
    except KeyboardInterrupt:
        standing = Standing.of(store)
        say(
            f"interrupted: {standing.answered} of {counted(standing.prompts, 'prompt')} have an answer; "
            f"go on with: {again}",
            err=True,
        )
        sys.exit(exit_code())
    end(Standing.of(store), store.folder, again)


class _Watch:
    """Tells how many prompts are done."""

    def __init__(self, store: Store, tell: Callable[[float, float, str], None]) -> None:
        self.plan, self.tell = store.plan, tell
        self.done = sum(len(self.plan.prompts_of(shard)) for shard in store.settled())

    def settled(self, shard: int) -> None:
        """One more shard is done with."""
        self.done += len(self.plan.prompts_of(shard))
        self.tell(self.done, self.plan.prompts, f"shard {shard}")

    def on_event(self, event: Event) -> None:
        """The run of a shard goes on."""
        self.tell(self.done + event.progress * len(event.energy), self.plan.prompts, f"step {event.step}")


def _answer_here(
    store: Store,
    hub: PluginHub,
    allowed: Allowed,
    trust_remote_code: bool,
    part: Part,
    watch: _Watch,
    progress: Progress,
) -> None:
    from sea_toolkit.runs.session import Session
    from sea_toolkit.shards.worker import ShardWorker

    shards = [shard for shard in part.shards(store.plan.shards) if not store.is_settled(shard)]
    session = Session(hub, progress=progress, trust_remote_code=trust_remote_code)
    worker = ShardWorker(store, session, lambda: session.compose(store.plan.recipe, allowed=allowed), watch.on_event)
    if shards:
        worker.load()
        worker.work(shards, watch.settled)


def end(standing: Standing, folder: Path, again: str | None) -> NoReturn:
    """Say how many prompts have an answer and which have none; exit code 0, or 3 where there are such."""
    say(summary(standing, folder))
    if standing.is_whole:
        say(f"one table of all: sea-toolkit merge {folder} --to results.jsonl")
    else:
        say(f"the rest is for others, or for: {again}")
    say_skipped(standing.skipped)
    if not standing.failed:
        sys.exit(0)
    say_error("\n".join(failures(standing, folder)))
    sys.exit(SOME_FAILED)


def summary(standing: Standing, folder: Path) -> str:
    """One line: prompts and shards."""
    return (
        f"{folder}: {standing.answered} of {counted(standing.prompts, 'prompt')} have an answer, "
        f"{standing.settled} of {counted(standing.shards, 'shard')} are done"
    )


def failures(standing: Standing, folder: Path) -> list[str]:
    """The prompts without an answer, the first few with what went wrong."""
    lines = [f"{counted(len(standing.failed), 'prompt')} without an answer, named in {folder / 'failed'}:"]
    for entry in standing.failed[:NAMED]:
        text = entry["prompt"] if isinstance(entry["prompt"], str) else entry["prompt"][-1]["content"]
        lines.append(f"  prompt {entry['index']} ({text[:60]!r}): {entry['error'].splitlines()[0]}")
    if len(standing.failed) > NAMED:
        lines.append("  …")
    return lines


def say_skipped(skipped: Sequence[str]) -> None:
    """Name the lines of the file that were left out."""
    for line in skipped[:NAMED]:
        say(f"left out: {line}", err=True)
    if len(skipped) > NAMED:
        say(f"left out: {len(skipped) - NAMED} more, named in the plan", err=True)
