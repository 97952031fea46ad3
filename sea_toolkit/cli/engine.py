"""An engine from the command line: which one, with how many workers, and how it is called."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.blame import attribute_errors_to

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.shards.store import Store


@dataclass(frozen=True)
class Engine:
    """Who starts workers.

    Attributes:
        name: of the engine.
        workers: at a time.
        gpus: of each.
        options: of the engine.
    """

    name: str
    workers: int = 1
    gpus: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def asked(
        cls, engine: dict[str, Any] | None, workers: int | None, gpus_per_worker: float | None, address: str | None
    ) -> Engine | None:
        """From the options of a command; None where this process is to answer by itself.

        Raises:
            RecipeError: options for an engine without one.
        """
        if engine is None:
            for name, value in {"--gpus-per-worker": gpus_per_worker, "--address": address}.items():
                if value is not None:
                    raise RecipeError(f"{name} without an engine", expected="--engine NAME beside it")
            return None if workers is None else cls("local", workers)
        options = {key: value for key, value in engine.items() if key != "name"}
        if address is not None:
            options["address"] = address
        return cls(engine["name"], workers or 1, gpus_per_worker or 0.0, options)

    @property
    def threads(self) -> int | None:
        """Threads of each worker in a plan that begins now: the share of this machine, unless the user has said so."""
        return None if os.environ.get("OMP_NUM_THREADS") else max(1, (os.cpu_count() or 1) // self.workers)

    def run(
        self, store: Store, hub: PluginHub, allowed: Allowed, trust_remote_code: bool, tell: Callable[[int], None]
    ) -> None:
        """Have the shards answered.

        Raises:
            RecipeError: there is no such engine, or it has no such option.
            SeaError: as the engine.
        """
        from sea_toolkit.shards.job import ShardJob

        item = hub.get("engine", self.name, "--engine")
        start = item.build(self.options, f"--engine {self.name}")
        files = [Path(record.file) for record in hub.records if record.from_user and record.file]
        job = ShardJob(
            store.folder.absolute(),
            self.workers,
            self.gpus,
            {str(path.absolute()): path.read_text(encoding="utf-8") for path in files},
            tuple(allowed.code),
            tuple(allowed.network),
            trust_remote_code,
        )
        with attribute_errors_to(item.owner, user_errors_pass=True):
            start(job, tell)
