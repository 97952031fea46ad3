"""Models from the Hugging Face hub, with nothing printed to the terminal."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models.cache import WEIGHTS, disk_errors
from sea_toolkit.models.wheel import Unavailable
from sea_toolkit.util.progress import Progress


def snapshot(repository: str, folder: Path, size: int, progress: Progress) -> str:
    """Put config, tokenizer and safetensors of `repository` into `folder`; returns the commit.

    They are downloaded into the Hugging Face cache, which other tools share, and linked from there; copied where the
    two lie on different disks.

    Args:
        repository: `owner/name`.
        folder: to be filled.
        size: bytes that are expected.
        progress: told of the bytes.

    Raises:
        Unavailable: the hub cannot be reached or does not have it.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        with quiet_transformers():
            commit = HfApi().model_info(repository, timeout=20).sha
            found = snapshot_download(
                repository,
                revision=commit,
                allow_patterns=["*.json", "*.txt", "*.jinja", WEIGHTS],
                tqdm_class=_telling(progress, size, f"downloading {repository}"),
            )
        folder.mkdir(exist_ok=True)
        for file in (path for path in Path(found).iterdir() if path.is_file()):
            _link(file.resolve(), folder / file.name)
    except Exception as error:  # connection, proxy, certificate, offline mode, gated: many classes, one meaning
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            with disk_errors(folder.parent):
                raise
        text = str(error).strip().splitlines()
        raise Unavailable(f"not reached ({type(error).__name__}: {text[0][:200] if text else ''})") from error
    return str(commit)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:  # on another disk, or a file system without links
        shutil.copyfile(file, to)


def _telling(progress: Progress, size: int, what: str) -> type:
    """A bar of tqdm that shows nothing and tells of the bytes; the hub has one for what arrives and one for what is
    written."""
    from tqdm import tqdm

    class Telling(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts_bytes, self._told = options.get("unit") == "B", 0.0
            super().__init__(*args, **options, disable=True)

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts_bytes:
                self._told += n or 0
                progress(min(int(self._told), size), size, what)
            return super().update(n)

    progress(0, size, what)
    return Telling


_FACTS = ["*.json", "*.txt", "*.jinja", "*.model", "*.tiktoken"]
_CODE = ["*.py"]


def fetch_facts(repository: str, *, code: bool) -> Path:
    """The folder in the Hugging Face cache with everything of a model but its weights; downloaded if needed.

    Args:
        repository: `owner/name`, or `owner/name@revision`: a branch, a tag or a commit.
        code: whether Python files may come along.

    Raises:
        ModelError: it does not exist, is gated, or cannot be reached.
    """
    return _fetch(repository, _FACTS + (_CODE if code else []))


def fetch_weights(repository: str, files: Sequence[str]) -> Path:
    """The folder in the Hugging Face cache with these files of a model; downloaded if needed.

    Raises:
        ModelError: as `fetch_facts`.
    """
    return _fetch(repository, list(files))


def is_hub_id(text: str) -> bool:
    """Whether a text has the form of a Hugging Face id: `owner/name` or `owner/name@revision`."""
    return re.fullmatch(r"[^/@\s]+/[^/@\s]+(@[^@\s]+)?", text) is not None


def _fetch(name: str, patterns: list[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    repository, _, revision = name.partition("@")
    try:
        with quiet_transformers():
            return Path(
                snapshot_download(
                    repository,
                    revision=revision or None,
                    allow_patterns=patterns,
                    ignore_patterns=["*/*.json", "*/*.txt"],
                )
            )
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{repository} has no revision {revision!r}",
            expected="a branch, a tag or a commit of it",
            hint=f"https://huggingface.co/{repository}/commits/main lists them",
        ) from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repository} is gated: it is given to those who accept its terms",
            expected="an account that has access, and its token on this machine",
            hint=f"accept the terms at https://huggingface.co/{repository}, then hf auth login",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the Hugging Face hub has no model {repository}, or it is private",
            expected="owner/name of a model",
            hint="check the name; for a private model, hf auth login",
        ) from error
    except errors.HFValidationError as error:
        raise ModelError(
            f"{repository} is no name of a model", expected="a folder, or a Hugging Face id (owner/name)"
        ) from error
    except (OSError, errors.HfHubHTTPError, errors.OfflineModeIsEnabled) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES):
            raise ModelError(
                f"{repository} cannot be written to the Hugging Face cache: {error.strerror}",
                hint="free some space, or set HF_HOME to another folder",
            ) from error
        reason = str(error).strip().partition("\n")[0].partition(". ")[0][:200]
        raise ModelError(
            f"{name} is not in the Hugging Face cache, and the hub was not reached: {reason}",
            expected="a network, or a model that was downloaded before",
            hint="check the name and the network (HF_HUB_OFFLINE, proxies), or give a local folder",
        ) from error
