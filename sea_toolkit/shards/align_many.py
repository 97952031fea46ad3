"""`sea.align_many`: many prompts into one folder, from Python."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.reporting.live import shown, watched
from sea_toolkit.runs.asked import Asked
from sea_toolkit.runs.named_recipes import RecipeSource
from sea_toolkit.runs.python_terms import Energies, Rewards
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.session import Session
from sea_toolkit.runs.settings import PolicySettings, SamplingSettings
from sea_toolkit.shards.answering import answer, begin
from sea_toolkit.shards.merge import results, write_jsonl
from sea_toolkit.shards.parquet import write_parquet
from sea_toolkit.shards.standing import Standing
from sea_toolkit.shards.store import Store
from sea_toolkit.util.conversation import Messages, Row, as_prompts
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress
from sea_toolkit.work.engine import Engine


class RecipeSettings(SamplingSettings, PolicySettings, total=False):
    """What overrides the recipe; see `align`."""

    draft: str | None


class ManyAnswers:
    """The answers to many prompts, which stay in their folder; iterating reads them one by one, in the prompts' order.

    Args:
        folder: of `align_many`, or of `sea-toolkit align --batch N --out DIR`.

    Raises:
        RecipeError: it is no such folder.
        SeaError: its plan is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._store = Store(user_path(folder, "the folder of many prompts"))

    @property
    def standing(self) -> Standing:
        """What is done and what is left; `standing.failed` names the prompts without an answer."""
        return Standing.of(self._store)

    def __iter__(self) -> Iterator[Result | None]:
        """Each prompt's result; None where it has none.

        Raises:
            SeaError: not all is done, or a file is damaged.
        """
        return (result for _, result in results(self._store))

    def write(self, to: str | Path) -> int:
        """Write one table of all, a .jsonl or .parquet file, as `sea-toolkit merge` does.

        Returns:
            How many answers it has.

        Raises:
            RecipeError: a name with another ending, or the extra `data` is missing.
            SeaError: not all is done, or a file is damaged or cannot be written.
        """
        target = user_path(to, "to")
        if target.suffix.lower() not in (".jsonl", ".parquet"):
            raise RecipeError(f"to = {str(to)!r}", expected="a name that ends in .jsonl or .parquet")
        return (write_jsonl if target.suffix.lower() == ".jsonl" else write_parquet)(self._store, target)

    def __repr__(self) -> str:
        known = self.standing
        return f"ManyAnswers({str(self._store.folder)!r}): {known.answered} of {known.prompts} prompts have an answer"


@own_torch_state()
def align_many(
    prompts: Sequence[str | Messages | Row],
    *,
    out: str | Path,
    batch: int,
    reward: Rewards | None = None,
    energies: Energies | None = None,
    recipe: RecipeSource | None = None,
    engine: str | Mapping[str, Any] | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    explain: bool = False,
    retry_failed: bool = False,
    checkpoint_every: int = 10,
    allow_code: Collection[str] = (),
    allow_network: Collection[str] = (),
    trust_remote_code: bool = False,
    hub: PluginHub | None = None,
    progress: bool | Progress = False,
    **settings: Unpack[RecipeSettings],
) -> ManyAnswers:
    """Answer many prompts into one folder, as `sea-toolkit align --prompts FILE --batch N --out DIR` does.

    The same call goes on where it was interrupted or killed. The same prompts, batch, dtype, kind of device and number
    of threads give the same answers, whatever the engine, the workers and the kills.

    Args:
        prompts: as for `align`; the same text may be there several times.
        out: the folder.
        batch: prompts of a shard, which are worked on together.
        reward: as for `align`, by name: the folder keeps no code.
        energies: as for `align`, by name.
        recipe: as for `align`.
        engine: who starts workers: "local", "ray", or a table of a name and options; else this process does all.
        workers: at a time, of `engine` or of "local".
        gpus_per_worker: of each; a part of one if several share it.
        explain: as for `align`.
        retry_failed: try those prompts again that have no answer.
        checkpoint_every: steps between two checkpoints of a shard.
        allow_code: as for `align`.
        allow_network: as for `align`.
        trust_remote_code: as for `align`.
        hub: as for `align`.
        progress: as for `align`.
        **settings: what overrides the recipe, by the names that `align` has.

    Returns:
        The answers. Prompts that cannot be answered are in `standing.failed`.

    Raises:
        RecipeError: as `align`; a reward that is a Python object, or another plan than that of the folder.
        SeaError: what is wrong is not the prompts; the folder holds something else.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    crew = Engine.of(engine, workers, gpus_per_worker)
    live, told = watched(progress)
    session = Session(hub, progress=told, trust_remote_code=trust_remote_code)
    call = Asked.of(session, recipe, reward, energies, settings, allow_code, allow_network)
    if call.own:
        raise RecipeError(
            f"many prompts, and objects of this process: {', '.join(map(repr, call.own))}",
            expected="names and files: the folder keeps no code, and workers are other processes",
            hint="energies in a plugin, or as functions that allow_code names",
        )
    folder = user_path(out, "out")
    store = begin(
        session.hub, as_prompts(prompts), call.recipe, call.allowed, folder, batch, checkpoint_every, explain, (),
        None if crew is None else crew.threads,
    )  # fmt: skip
    if retry_failed:
        store.retry_failed()
    with shown(live):
        watch = (lambda done, total, what: None) if live is None else live.watching("answering", "prompts")
        answer(store, session.hub, call.allowed, trust_remote_code, None, crew, watch, told)
    return ManyAnswers(folder)
