"""The shards of many prompts as an engine is given them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sea_toolkit.shards.store import Store
from sea_toolkit.work.job import Job

if TYPE_CHECKING:
    from sea_toolkit.shards.worker import ShardWorker


@dataclass(frozen=True)
class ShardJob(Job):
    """The shards that are left; the folder has their plan."""

    @cached_property
    def _store(self) -> Store:
        return Store(self.folder)

    def left(self) -> list[int]:
        """The shards that are not settled, in their order.

        Raises:
            SeaError: the folder cannot be read.
        """
        settled = self._store.settled()
        return [shard for shard in range(self._store.plan.shards) if shard not in settled]

    @property
    def threads(self) -> int:
        """The plan's."""
        return self._store.plan.threads

    def worker(self) -> ShardWorker:
        """A worker in this process.

        Raises:
            SeaError: this process has other versions or plugins than the plan.
        """
        from sea_toolkit.runs.session import Session
        from sea_toolkit.shards.worker import ShardWorker

        session = Session(self.hub(), trust_remote_code=self.trust_remote_code)
        store = Store(self.folder)
        return ShardWorker(store, session, lambda: session.compose(store.plan.recipe, allowed=self.allowed))
