"""A cluster of Ray: one that is there, or one of this machine for one command, which leaves nothing behind."""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.util.locks import hold, is_held, lock_file
from sea_toolkit.util.version import install_hint
from sea_toolkit.work.job import Job

OBJECT_STORE = 80 * 2**20
"""Bytes of shared memory of a cluster on this machine; only numbers of pieces pass through it."""
PLACE, PREFIX = Path("/tmp"), "sea-ray-"
"""Where such a cluster has its files: the names of its sockets have a limit of 100 letters."""
YOUNG = 10.0
"""Seconds in which a command may have made its folder, and not yet locked it."""


def imported() -> ModuleType:
    """Ray.

    Raises:
        RecipeError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise RecipeError(f"Ray cannot be imported: {error}", hint=install_hint("ray")) from error
    return ray


@contextlib.contextmanager
def cluster(library: ModuleType, job: Job, address: str | None) -> Iterator[None]:
    """A connection to a cluster within the block; what one on this machine writes goes when it ends.

    Raises:
        SeaError: as `_connect`.
    """
    _remove_left()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_own_print())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=PLACE, ignore_cleanup_errors=True))
        stack.enter_context(hold(Path(folder) / "cluster", f"the cluster in {folder}"))
        try:
            with _own_answer_to_sigterm():
                _connect(library, job, address, folder)
            yield
        finally:
            library.shutdown()


def _remove_left() -> None:
    """Remove what clusters have left here whose command was killed: Ray's own processes end with it, its files stay."""
    user = 0 if sys.platform == "win32" else os.getuid()
    for folder in PLACE.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            about = folder.lstat()
            ours = about.st_uid == user and lock_file(folder / "cluster").exists()
            if ours and time.time() - about.st_mtime > YOUNG and not is_held(folder / "cluster"):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _own_print() -> Iterator[None]:
    """Ray puts a function of its own in the place of `print`, for as long as the process lives."""
    before = builtins.print
    try:
        yield
    finally:
        builtins.print = before


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
