"""Locks on files and folders, for one process at a time."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sea_toolkit.errors import SeaError


def lock_file(path: Path) -> Path:
    """The lock file of `path`: hidden, beside it, and kept afterwards."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def hold(path: Path, what: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Lock a file or folder within a `with` block.

    The operating system releases the lock when the process ends, in whatever way.

    Args:
        path: need not exist; its parent is made.
        what: how messages call it, such as "the run in results/a".
        waiting: called once if another process has it, which is then waited for.

    Raises:
        SeaError: another process that still runs has it, and `waiting` is None.
        OSError: the lock file cannot be written.
    """
    file = lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not file.exists():  # filelock takes a file that cannot be made for one that is taken
            raise OSError(errno.EACCES, "no lock file can be written beside it", str(path)) from None
        if waiting is None:
            raise SeaError(
                f"{what} is in use by another process",
                expected="one process at a time",
                hint="wait until it has ended, or use another folder",
            ) from None
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
