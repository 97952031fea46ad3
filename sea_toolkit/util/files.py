"""Files are written whole or not at all, with the modes that the user's umask gives, and never through a link."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

from sea_toolkit.util import ranks

_NO_FOLLOW = 0 if sys.platform == "win32" else os.O_NOFOLLOW

SCRATCH = ".sea-*.tmp"
"""The temporary names of `write_whole`, as a pattern."""


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder (made if needed), then rename; a link at `path` is replaced. As
    all of this module, nothing where another process writes for this one (`util.ranks`).

    Raises:
        OSError: the folder cannot be written, or the disk is full; what was at `path` before is still there.
    """
    if not ranks.writes(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(SCRATCH.replace("*", secrets.token_hex(8)))
    try:
        with open(scratch, "xb") as file:  # "x" follows no link
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def append_whole(path: Path, content: bytes, after: int | None = None) -> None:
    """Write at the end of a file, and let it end there; where that fails, nothing of it stays.

    Args:
        path: of the file, which is made if need be; a link is not followed.
        content: what is written.
        after: where the file is to end before, in bytes; what lies behind is dropped. By default its end.

    Raises:
        OSError: it cannot be written, or the disk is full.
    """
    if not ranks.writes(path):
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)
    with os.fdopen(handle, "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END) if after is None else file.seek(after)
        try:
            while rest := content[file.tell() - size :]:
                file.write(rest)
        except BaseException:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise
        file.truncate()


def to_disk(path: Path) -> None:
    """Have what was written to a file on the disk, whatever happens to the machine.

    Raises:
        OSError: the disk is full.
    """
    if not ranks.writes(path):
        return
    handle = os.open(path, os.O_RDWR | _NO_FOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Take a file away, if it is there.

    Raises:
        OSError: it cannot be taken away.
    """
    if ranks.writes(path):
        path.unlink(missing_ok=True)
