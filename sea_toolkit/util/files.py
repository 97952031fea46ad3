"""Files are written whole or not at all, with the modes that the user's umask gives, and never through a link."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

SCRATCH = ".sea-*.tmp"
"""The temporary names of `write_whole`, as a pattern."""


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder (made if needed), then rename; a link at `path` is replaced.

    Raises:
        OSError: the folder cannot be written, or the disk is full; what was at `path` before is still there.
    """
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
