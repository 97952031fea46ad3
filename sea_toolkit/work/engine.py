"""An engine as it is asked for: which one, with how many workers, and how it is called."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.blame import attribute_errors_to
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.batches import check_count
from sea_toolkit.work.job import Job, Tell


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
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, engine: str | Mapping[str, Any] | None, workers: int | None = None, gpus_per_worker: float | None = None
    ) -> Engine | None:
        """From the arguments of a call; None where this process is to do all by itself.

        Args:
            engine: its name, or a table of its name and options; None for `local` if there is a number of workers.
            workers: at a time; 1 if it is left out.
            gpus_per_worker: none if it is left out.

        Raises:
            RecipeError: no engine with such a number, GPUs without an engine, or a table without a name.
        """
        if engine is None and workers is None:
            if gpus_per_worker is not None:
                raise RecipeError("gpus_per_worker without an engine", expected="an engine, or a number of workers")
            return None
        options = {"name": engine or "local"} if engine is None or isinstance(engine, str) else dict(engine)
        name, count, gpus = options.pop("name", None), 1 if workers is None else workers, gpus_per_worker or 0.0
        if not isinstance(name, str):
            raise RecipeError(f"the engine {engine!r}", expected='a name, or {"name": …} with its options')
        check_count("workers", count)
        if not 0 <= gpus < math.inf:
            raise RecipeError(f"gpus_per_worker = {gpus_per_worker!r}", expected="a number of at least 0")
        return cls(name, count, gpus, options)

    @property
    def threads(self) -> int | None:
        """Threads of each worker of work that begins now: the share of this machine; None where the user has said so
        (`OMP_NUM_THREADS`)."""
        return None if os.environ.get("OMP_NUM_THREADS") else max(1, (os.cpu_count() or 1) // self.workers)

    def run(
        self,
        kind: type[Job],
        folder: Path,
        hub: PluginHub,
        allowed: Allowed,
        trust_remote_code: bool,
        tell: Tell,
    ) -> None:
        """Have the pieces of a folder done.

        Args:
            kind: of the job.
            folder: with what is to be done.
            hub: plugins.
            allowed: what energies may run and ask.
            trust_remote_code: whether Python that comes with a model may run.
            tell: called with each piece that is settled.

        Raises:
            RecipeError: there is no such engine, or it has no such option.
            SeaError: as the engine.
        """
        item = hub.get("engine", self.name, "--engine")
        start = item.build(self.options, f"--engine {self.name}")
        files = [Path(record.file) for record in hub.records if record.from_user and record.file]
        job = kind(
            folder.absolute(),
            self.workers,
            self.gpus,
            {str(path.absolute()): path.read_text(encoding="utf-8") for path in files},
            tuple(allowed.code),
            tuple(allowed.network),
            trust_remote_code,
        )
        with attribute_errors_to(item.owner, user_errors_pass=True):
            start(job, tell)
