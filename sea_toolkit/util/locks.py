"""Locks on files and folders, for one process at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sea_toolkit.errors import SeaError
from sea_toolkit.util.files import write_whole


def lock_file(path: Path) -> Path:
    """The lock file of `path`: hidden, beside it, and kept afterwards."""
    return path.with_name(f".{path.name}.lock")


def _owner_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.owner")


def owner(path: Path) -> str:
    """Who holds the lock of `path`, in words; only while it is held."""
    try:
        data = json.loads(_owner_file(path).read_text(encoding="utf-8"))
        return f"process {int(data['process'])} on {data['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


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
        OSError: the lock file cannot be written, or is a link.
    """
    file = lock_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_symlink():  # a lock opens its file for writing: whoever laid the link would choose which
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not file.exists():  # filelock takes a file that cannot be made for one that is taken
            raise OSError(errno.EACCES, "no lock file can be written beside it", str(path)) from None
        if waiting is None:
            raise SeaError(
                f"{what} is in use by {owner(path)}",
                expected="one process at a time",
                hint="wait until it has ended, or use another folder",
            ) from None
        waiting()
        lock.acquire()
    try:
        with contextlib.suppress(OSError):  # for messages alone
            here = {"process": os.getpid(), "host": socket.gethostname()}
            write_whole(_owner_file(path), json.dumps(here).encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            _owner_file(path).unlink(missing_ok=True)
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process has the lock of `path` now. Nothing is written."""
    file = lock_file(path)
    if file.is_symlink() or not os.access(file, os.W_OK):
        return False  # who works here could write it
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
