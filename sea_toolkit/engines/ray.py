"""The engine `ray`: actors of Ray over the pieces of work, on this machine or on a cluster.

What Ray would do by itself is switched off: an actor is not restarted (calls on the handle of one that restarts fail at
once), a new one is made instead; results go by files, not through the object store, so that the end of the driver loses
nothing.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.util.version import install_hint
from sea_toolkit.work.job import Job, Tell
from sea_toolkit.work.worker import error_of, told

STARTS = 3
"""How often in a row an actor may die before it has read its models."""
OBJECT_STORE = 80 * 2**20
"""Bytes of shared memory of a cluster on this machine; only numbers of pieces pass through it."""


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
    library = _import()
    with contextlib.nullcontext() if library.is_initialized() else _cluster(library, job, address):
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


def _import() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise RecipeError(f"Ray cannot be imported: {error}", hint=install_hint("ray")) from error
    return ray


@contextlib.contextmanager
def _cluster(library: ModuleType, job: Job, address: str | None) -> Iterator[None]:
    """A connection to a cluster within the block; what one on this machine writes goes when it ends.

    Raises:
        SeaError: as `_connect`.
    """
    with tempfile.TemporaryDirectory(prefix="sea-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            with _own_answer_to_sigterm():
                _connect(library, job, address, folder)
            yield
        finally:
            library.shutdown()


@contextlib.contextmanager
def _own_answer_to_sigterm() -> Iterator[None]:
    """Ray puts a handler in place that ends the process at once, without the bookkeeping of a command."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _connect(library: ModuleType, job: Job, address: str | None, folder: str) -> None:
    """Connect to a cluster, or start one whose files go into a folder; its sockets' names have a limit of 100 letters.

    Raises:
        RecipeError: this machine has not as many GPUs.
        SeaError: there is no cluster at the address, or none can be started here.
    """
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is not None:
            library.init(address=address, **quiet)
            return
        library.init(
            num_cpus=job.workers * job.threads,  # of the scheduler's counting: whether there are as many is our affair
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            _temp_dir=folder,
            **quiet,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SeaError(
            f"no Ray cluster {f'at {address}' if address else 'on this machine'}: {error}",
            expected="a cluster that `ray status` sees",
            hint="ray start --head on one machine, and --address auto there",
        ) from error
    gpus = library.cluster_resources().get("GPU", 0.0)
    if job.workers * job.gpus > gpus:  # they would be waited for; a cluster of others may grow
        raise RecipeError(
            f"{job.workers} workers with {job.gpus:g} GPUs each, and this machine has {gpus:g}",
            expected="fewer workers, or a cluster: --address",
        )
