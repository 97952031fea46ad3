"""Many prompts in one folder, from the first line of the plan to the last answer: what the command and Python share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from sea_toolkit.errors import RecipeError
from sea_toolkit.events import Event
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.together import refuse_shared
from sea_toolkit.shards.job import ShardJob
from sea_toolkit.shards.make_plan import make_plan
from sea_toolkit.shards.part import Part
from sea_toolkit.shards.prompts_file import content_of
from sea_toolkit.shards.store import Store
from sea_toolkit.shards.worker import ShardWorker
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.progress import Progress
from sea_toolkit.work.engine import Engine

Watch = Callable[[float, float, str], None]
"""`watch(done, total, what)` in prompts."""


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
    refuse_shared(recipe, "each shard of many prompts is answered by one process")
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


def answer(
    store: Store,
    hub: PluginHub,
    allowed: Allowed,
    trust_remote_code: bool,
    part: Part | None,
    engine: Engine | None,
    watch: Watch,
    progress: Progress | None = None,
) -> None:
    """Answer what is left of a part of the shards.

    Args:
        store: the folder.
        hub: plugins.
        allowed: what energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
        part: which shards; None for all.
        engine: who starts workers; None: this process answers by itself.
        watch: is told how far it is.
        progress: is told of what is loaded in this process.

    Raises:
        RecipeError: a part and an engine.
        SeaError: what is wrong is not the prompts.
        KeyboardInterrupt: Ctrl-C; all of it can be gone on with.
    """
    if part is not None and engine is not None:
        raise RecipeError("--shard and an engine", expected="one of them: an engine shares out all shards")
    count = _Count(store, watch)
    if engine is not None:
        engine.run(ShardJob, store.folder, hub, allowed, trust_remote_code, count.settled)
        return
    shards = [shard for shard in (part or Part()).shards(store.plan.shards) if not store.is_settled(shard)]
    session = Session(hub, progress=progress, trust_remote_code=trust_remote_code)
    worker = ShardWorker(store, session, lambda: session.compose(store.plan.recipe, allowed=allowed), count.on_event)
    if shards:
        worker.load()
        worker.work(shards, count.settled)


class _Count:
    """Tells how many prompts are done."""

    def __init__(self, store: Store, watch: Watch) -> None:
        self.plan, self.watch = store.plan, watch
        self.done = sum(len(self.plan.prompts_of(shard)) for shard in store.settled())

    def settled(self, shard: int) -> None:
        """One more shard is done with."""
        self.done += len(self.plan.prompts_of(shard))
        self.watch(self.done, self.plan.prompts, f"shard {shard}")

    def on_event(self, event: Event) -> None:
        """The run of a shard goes on."""
        self.watch(self.done + event.progress * len(event.energy), self.plan.prompts, f"step {event.step}")
