"""GGUF files as policies: de-quantized once into the cache, under a hash of the file."""

from __future__ import annotations

from pathlib import Path

from sea_toolkit.errors import ModelError
from sea_toolkit.models import cache
from sea_toolkit.models.convert import gguf_to_safetensors
from sea_toolkit.util.progress import Progress, silent


def gguf_in(path: Path) -> Path | None:
    """The GGUF file that a file or folder is, or None if it is another model.

    Raises:
        ModelError: a folder with several, of which it does not say which.
    """
    if path.is_file():
        with path.open("rb") as file:
            return path if path.suffix == ".gguf" or file.read(4) == b"GGUF" else None
    files = sorted(path.glob("*.gguf"))
    if not files or any(path.glob("*.safetensors*")) or any(path.glob("pytorch_model*")):
        return None
    if len(files) > 1:
        raise ModelError(
            f"{path} holds {len(files)} GGUF files", expected="one of them", hint=", ".join(str(f) for f in files[:5])
        )
    return files[0]


def converted_gguf(gguf: Path, progress: Progress = silent) -> Path:
    """The folder of the file's weights as safetensors, made if it is not in the cache.

    Raises:
        ModelError: transformers cannot read the file, or the cache cannot be written.
    """
    name = f"gguf-{cache.sha256_file(gguf, progress)[:24]}"
    target = cache.cache_dir() / name
    try:
        if cache.check_folder(target, name):
            return target
    except ModelError:  # damaged, and made again at little cost
        cache.remove_folder(target)
    with cache.one_at_a_time(target, progress):
        if cache.check_folder(target, name):  # another process was faster
            return target
        with cache.workspace(target) as work:
            folder = work / name
            folder.mkdir()
            gguf_to_safetensors(gguf, folder, progress)
            return cache.publish(folder, target, {"name": name, "source": str(gguf)}, progress)
