"""How far a folder of many prompts is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sea_toolkit.shards.store import Store


@dataclass(frozen=True)
class Standing:
    """What is done and what is left.

    Attributes:
        prompts: in all.
        answered: with an answer.
        failed: those without one: index, prompt, attempts and error.
        shards: in all.
        settled: shards that are done with.
        working: shards that a process works on now.
        skipped: what was wrong with lines of the file that were left out.
    """

    prompts: int
    answered: int
    failed: list[dict[str, Any]]
    shards: int
    settled: int
    working: list[int]
    skipped: list[str]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to do."""
        return self.settled == self.shards

    @classmethod
    def of(cls, store: Store) -> Standing:
        """Of a folder; nothing is changed.

        Raises:
            SeaError: a file is damaged.
        """
        plan, settled, failed = store.plan, store.settled(), store.failed()
        known = sum(len(plan.prompts_of(shard)) for shard in settled)
        without = sum(1 for entry in failed if entry["index"] // plan.batch in settled)
        working = [shard for shard in store.working() if shard not in settled]
        return cls(plan.prompts, known - without, failed, plan.shards, len(settled), working, plan.skipped)
