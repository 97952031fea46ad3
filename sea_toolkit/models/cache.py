"""The user's model cache: a folder per model, published by a rename, with a record of what must be inside."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.locks import hold
from sea_toolkit.util.paths import cache_folder
from sea_toolkit.util.progress import Progress, silent

RECORD = "sea.json"
WEIGHTS = "model.safetensors"
_STALE_SECONDS = 6 * 3600


def cache_dir() -> Path:
    """Folder of the cached models, under `$SEA_CACHE` or the user's cache folder. May not exist yet."""
    return cache_folder() / "models"


def sha256_file(path: Path, progress: Progress = silent, what: str = "") -> str:
    """Hex SHA-256 of a file, read in pieces of 4 MiB."""
    total, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
            done += len(piece)
            progress(done, total, what or f"checking {path.name}")
    return digest.hexdigest()


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under a folder; files that vanish meanwhile count 0."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total


@contextmanager
def watching(folder: Path, total: int, progress: Progress, what: str, seconds: float = 0.2) -> Iterator[None]:
    """Report the bytes under `folder` while the block fills it, for tools that report no progress."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(seconds):
            progress(min(folder_bytes(folder), total), total, what)

    thread = threading.Thread(target=look, daemon=True)
    progress(0, total, what)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def disk_errors(path: Path, *, cached: bool = True) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into a ModelError that names the path.

    Args:
        path: what is written.
        cached: whether that is in the model cache, which the user may have elsewhere.
    """
    try:
        yield
    except OSError as error:
        if not cached:
            raise ModelError(
                f"cannot write {path}: {error.strerror or error}",
                expected="a place that can be written, with room for a copy of the weights",
                hint="another folder",
            ) from error
        raise ModelError(
            f"cannot write the model cache {path}: {error.strerror or error}",
            expected="a folder that can be written, with about 600 MB free",
            hint="free some space, or set the environment variable SEA_CACHE to another folder",
        ) from error


@contextmanager
def one_at_a_time(target: Path, progress: Progress) -> Iterator[None]:
    """Fill a model's folder while no other process does; a second process waits, then checks again.

    Raises:
        ModelError: the cache cannot be written.
    """
    with ExitStack() as stack:
        with disk_errors(target.parent):
            stack.enter_context(
                hold(
                    target,
                    f"the cached model {target.name}",
                    waiting=lambda: progress(0, 1, f"waiting for another process that gets {target.name}"),
                )
            )
        yield


@contextmanager
def workspace(target: Path, *, cached: bool = True) -> Iterator[Path]:
    """A temporary folder beside `target`, removed afterwards; those of killed processes go too.

    Args:
        target: what is made in it.
        cached: it is in the model cache, and the caller has its lock (`one_at_a_time`); elsewhere nobody knows whether
            another process is at work, and only old folders go.
    """
    with disk_errors(target.parent, cached=cached):
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(f".{target.name}.tmp-*"):
            if cached or time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        folder = target.parent / f".{target.name}.tmp-{secrets.token_hex(8)}"
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path, record: dict[str, Any], progress: Progress = silent) -> Path:
    """Write the record and rename `folder` to `target`; if another process was first, use what it made.

    The record gets the sizes of all files and their SHA-256.
    """
    with disk_errors(target):
        record = dict(record, weights_sha256=sha256_file(folder / WEIGHTS, progress, "checking the weights"))
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        record["files"] = {path.name: path.stat().st_size for path in files}
        record["sha256"] = {path.name: sha256_file(path) for path in files if path.name != WEIGHTS}
        (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        mode = (folder / RECORD).stat().st_mode  # the umask's; some writers of weights are for their owner alone
        for path in (path for path in folder.iterdir() if path.is_file() and path.stat().st_nlink == 1):
            path.chmod(mode)
        try:
            os.rename(folder, target)
        except OSError:
            if not (target / RECORD).is_file():
                raise
    return target


def check_folder(target: Path, name: str, full: bool = False, progress: Progress = silent) -> bool:
    """Whether the model is in its cache folder; sizes are compared, with `full` also the hashes of all files.

    Raises:
        ModelError: the folder is there and what it holds is damaged.
    """
    if not target.exists():
        return False
    try:
        record = parse_json((target / RECORD).read_text(encoding="utf-8"))
        sizes = dict(record["files"])
        hashes = {WEIGHTS: str(record["weights_sha256"])} | dict(record.get("sha256", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(target, name, f"its record {RECORD} cannot be read") from error
    for file, size in sizes.items():
        path = target / file
        if not path.is_file():
            raise damaged(target, name, f"{file} is missing")
        if path.stat().st_size != size:
            raise damaged(target, name, f"{file} has {path.stat().st_size} bytes instead of {size}")
    for file in hashes if full else ():
        if not (target / file).is_file() or sha256_file(target / file, progress) != hashes[file]:
            raise damaged(target, name, f"{file} does not have the SHA-256 it was saved with")
    return True


def damaged(target: Path, name: str, what: str) -> ModelError:
    """The error for cached weights which cannot be used."""
    return ModelError(
        f"the cached copy of {name} in {target} is damaged: {what}",
        expected="the files as they were saved",
        hint=f"sea-toolkit models remove {name}, then sea-toolkit models pull {name}",
    )


def remove_folder(target: Path) -> bool:
    """Delete a cached model and unfinished copies of it; False if there was nothing.

    Raises:
        SeaError: another process is filling it.
        ModelError: the files cannot be deleted.
    """
    if not any(_copies(target)):
        return False
    with ExitStack() as stack:
        with disk_errors(target.parent):
            stack.enter_context(hold(target, f"the cached model {target.name}"))
        with disk_errors(target):
            for path in list(_copies(target)):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return True


def _copies(target: Path) -> Iterator[Path]:
    paths = (target, *target.parent.glob(f".{target.name}.tmp-*"))
    return (path for path in paths if path.exists() or path.is_symlink())
