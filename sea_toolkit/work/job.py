"""What an engine is given: pieces of work to be done by workers elsewhere, as plain data that can travel."""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.sizes import MEMORY_LIMIT

if TYPE_CHECKING:
    from sea_toolkit.work.worker import Worker

Tell = Callable[[int], None]
"""What an engine calls with the number of each piece that is settled."""


@dataclass(frozen=True)
class Job(ABC):
    """The pieces of a folder that are left, for an engine: shards of many prompts, cells of a comparison, or the like.

    Attributes:
        folder: where the work is described, and what is done is kept; every worker has to see it under this name.
        workers: how many are wanted at a time.
        gpus: of each worker; a part of one if several workers share it.
        plugins: path of a plugin in a single file → its text.
        allow_code: functions that energies may run.
        allow_network: servers that energies may ask.
        trust_remote_code: whether Python that comes with a model may run.
    """

    folder: Path
    workers: int = 1
    gpus: float = 0.0
    plugins: Mapping[str, str] = field(default_factory=dict)
    allow_code: tuple[str, ...] = ()
    allow_network: tuple[str, ...] = ()
    trust_remote_code: bool = False

    @abstractmethod
    def left(self) -> list[int]:
        """The pieces that are not settled, in their order.

        Raises:
            SeaError: the folder cannot be read.
        """

    @property
    @abstractmethod
    def threads(self) -> int:
        """Of each worker, as the folder has it: another number rounds otherwise."""

    @abstractmethod
    def worker(self) -> Worker:
        """A worker in this process; `load()` reads its models, and `run(piece)` does a piece.

        Raises:
            SeaError: this process has other versions or plugins than the one that has cut the work.
        """

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a worker's process has to be started with."""
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        limit = os.environ.get(MEMORY_LIMIT)
        return dict.fromkeys(threads, str(self.threads)) | ({MEMORY_LIMIT: limit} if limit else {})

    @property
    def allowed(self) -> Allowed:
        """What energies may run and ask."""
        return Allowed(self.allow_code, self.allow_network)

    def hub(self) -> PluginHub:
        """The plugins of this process, and those of the job."""
        return PluginHub.discover(files=[_file(Path(path), text) for path, text in self.plugins.items()])

    def to_json(self) -> str:
        """All of it as one line."""
        data = {one.name: self.__dict__[one.name] for one in fields(self)}
        kind = f"{type(self).__module__}:{type(self).__qualname__}"
        return json.dumps({**data, "plugins": dict(self.plugins), "folder": str(self.folder), "kind": kind})

    @staticmethod
    def from_json(text: str) -> Job:
        """What `to_json` gave, of the same kind of job."""
        data = json.loads(text)
        kind = pkgutil.resolve_name(data.pop("kind"))
        assert issubclass(kind, Job)
        code, network = tuple(data["allow_code"]), tuple(data["allow_network"])
        return kind(**{**data, "folder": Path(data["folder"]), "allow_code": code, "allow_network": network})

    def __getstate__(self) -> dict[str, object]:
        return {one.name: self.__dict__[one.name] for one in fields(self)}


def _file(path: Path, text: str) -> Path:
    """The file itself where it is the same here, else one with this text."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return path
    except (OSError, ValueError):
        pass  # another machine
    folder = Path(tempfile.mkdtemp(prefix="sea-plugin-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / path.name
    copy.write_text(text, encoding="utf-8")
    return copy
