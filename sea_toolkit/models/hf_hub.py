"""A model folder from the Hugging Face hub, into a folder of ours and without a word on the terminal."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.models.cache import WEIGHTS, disk_errors, watching
from sea_toolkit.models.wheel import Unavailable
from sea_toolkit.util.progress import Progress


def snapshot(repository: str, folder: Path, size: int, progress: Progress) -> str:
    """Download config, tokenizer and safetensors of `repository` into `folder`; returns the commit.

    Raises:
        Unavailable: the hub cannot be reached or does not have it.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        with quiet_transformers(), watching(folder, size, progress, f"downloading {repository}"):
            commit = HfApi().model_info(repository, timeout=20).sha
            snapshot_download(
                repository,
                revision=commit,
                local_dir=folder,
                allow_patterns=["*.json", "*.txt", "*.jinja", WEIGHTS],
            )
    except Exception as error:  # connection, proxy, certificate, offline mode, gated: many classes, one meaning
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            with disk_errors(folder.parent):
                raise
        text = str(error).strip().splitlines()
        raise Unavailable(f"not reached ({type(error).__name__}: {text[0][:200] if text else ''})") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return str(commit)
