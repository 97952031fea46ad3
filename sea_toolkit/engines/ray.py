"""The engine `ray`: actors of Ray over the pieces of work, on this machine or on a cluster.

What Ray would do by itself is switched off: an actor is not restarted (calls on the handle of one that restarts fail at
once), a new one is made instead; results go by files, not through the object store, so that the end of the driver loses
nothing.
"""

from __future__ import annotations

import contextlib
from collections import deque
from types import ModuleType
from typing import Any

from sea_toolkit.engines.ray_cluster import cluster, imported
from sea_toolkit.errors import SeaError
from sea_toolkit.work.job import Job, Tell
from sea_toolkit.work.worker import error_of, told

STARTS = 3
"""How often in a row an actor may die before it has read its models."""


def ray(job: Job, tell: Tell, *, address: str | None = None) -> None:
    """Do the work in actors of Ray. One that dies is replaced, and its piece is given to another.

    Every machine needs the same environment, and has to see the folder under the same name.

    Args:
        address: of a cluster, such as `auto` or `ray://host:10001`; None: one on this machine, for this call alone.

    Raises:
        RecipeError: Ray is not installed.
        SeaError: no cluster can be reached, a worker's, that concerns all pieces, such as other versions than
            those of the process that has cut the work; or one dies again and again before it begins.
    """
    library = imported()
    with contextlib.nullcontext() if library.is_initialized() else cluster(library, job, address):
        _Pool(library, job).work(tell)


class _Worker:
    """What runs in an actor."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def load(self) -> dict[str, Any] | None:
        """Read the models; the error if there is one."""
        try:
            self.worker = self.job.worker()
            self.worker.load()
        except SeaError as error:
            return told(error)
        return None

    def run(self, piece: int) -> dict[str, Any] | None:
        """Do a piece; the error if there is one for the whole job."""
        try:
            self.worker.run(piece)
        except SeaError as error:
            return told(error)
        return None


class _Pool:
    """The actors of a job, each with one call in flight."""

    def __init__(self, library: ModuleType, job: Job) -> None:
        self.ray, self.job = library, job
        self.actor = library.remote(
            max_restarts=0,
            max_task_retries=0,
            num_cpus=job.threads,
            num_gpus=job.gpus,
            runtime_env={"env_vars": job.environment},  # Ray chooses a number of threads for its workers otherwise
        )(_Worker)
        self.left = deque(job.left())
        self.calls: dict[Any, tuple[Any, int | None]] = {}  # call → actor, and the piece; None while it loads
        self.starts = 0

    def work(self, tell: Tell) -> None:
        """Until every piece is settled.

        Raises:
            SeaError: a worker's, for the whole job.
        """
        for _ in range(min(self.job.workers, len(self.left))):
            self._start()
        while self.calls:
            done, _ = self.ray.wait(list(self.calls), num_returns=1, timeout=1.0)
            for call in done:
                actor, piece = self.calls.pop(call)
                try:
                    error = self.ray.get(call)
                except self.ray.exceptions.RayActorError as death:
                    self._replace(piece, death)
                    continue
                if error is not None:
                    raise error_of(error)
                self.starts = 0
                if piece is not None:
                    tell(piece)
                if self.left:
                    piece = self.left.popleft()
                    self.calls[actor.run.remote(piece)] = actor, piece
                else:
                    self.ray.kill(actor)

    def _start(self) -> None:
        actor = self.actor.remote(self.job)
        self.calls[actor.load.remote()] = actor, None

    def _replace(self, piece: int | None, death: Exception) -> None:
        """An actor has died: its piece is to be taken up, unless it was settled just before."""
        if piece is None:
            self.starts += 1
            if self.starts >= STARTS:
                raise SeaError(
                    f"an actor has ended {STARTS} times before it began: {str(death).splitlines()[0]}",
                    expected="machines that can load the models",
                ) from death
        elif piece in self.job.left():
            self.left.appendleft(piece)
        if self.left:
            self._start()
