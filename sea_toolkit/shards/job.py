"""What an engine is given: shards to be answered by workers elsewhere, as plain data that can travel."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.shards.store import Store
from sea_toolkit.util.sizes import MEMORY_LIMIT

if TYPE_CHECKING:
    from sea_toolkit.shards.worker import Worker

Tell = Callable[[int], None]
"""What an engine calls with the number of each shard that is settled."""


@dataclass(frozen=True)
class ShardJob:
    """The shards of a folder that are left, for an engine.

    Attributes:
        folder: with the plan; every worker has to see it under this name.
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

    @cached_property
    def _store(self) -> Store:
        return Store(self.folder)

    def left(self) -> list[int]:
        """The shards that are not settled, in their order.

        Raises:
            SeaError: the folder cannot be read.
        """
        settled = self._store.settled()
        return [shard for shard in range(self._store.plan.shards) if shard not in settled]

    @property
    def threads(self) -> int:
        """Of each worker: the plan's, since another number rounds otherwise."""
        return self._store.plan.threads

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a worker's process has to be started with."""
        threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        limit = os.environ.get(MEMORY_LIMIT)
        return dict.fromkeys(threads, str(self.threads)) | ({MEMORY_LIMIT: limit} if limit else {})

    def worker(self) -> Worker:
        """A worker in this process; `load()` reads its models, and `run(shard)` answers a shard.

        Raises:
            SeaError: this process has other versions or plugins than the plan.
        """
        from sea_toolkit.registry.hub import PluginHub
        from sea_toolkit.runs.session import Session
        from sea_toolkit.shards.worker import Worker

        hub = PluginHub.discover(files=[_file(Path(path), text) for path, text in self.plugins.items()])
        session = Session(hub, trust_remote_code=self.trust_remote_code)
        store, allowed = Store(self.folder), Allowed(self.allow_code, self.allow_network)
        return Worker(store, session, lambda: session.compose(store.plan.recipe, allowed=allowed))

    def to_json(self) -> str:
        """All of it as one line."""
        return json.dumps({**asdict(self), "folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> ShardJob:
        """What `to_json` gave."""
        data = json.loads(text)
        code, network = tuple(data["allow_code"]), tuple(data["allow_network"])
        return cls(**{**data, "folder": Path(data["folder"]), "allow_code": code, "allow_network": network})

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_store"}


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
