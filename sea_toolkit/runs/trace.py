"""The trace of a run: a line of JSON for each step, written as it happens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sea_toolkit.problem.scores import Scored
from sea_toolkit.runs.result import finite
from sea_toolkit.runs.trace_file import part_of_trace
from sea_toolkit.samplers.base import Info
from sea_toolkit.util import run_files
from sea_toolkit.util.files import append_whole, to_disk


class Trace:
    """Writes lines to a run's folder, or nowhere. It is a part of the run: its state says where it ends, with a hash.

    Args:
        folder: of the run, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / run_files.TRACE
        self._written = 0, hashlib.sha256()

    def step(self, step: int, samples: float, info: Info, stopped: Tensor, values: Mapping[str, Any]) -> None:
        """A step: what it scored, its metrics, and further values, such as those of schedules that follow the run."""
        line: dict[str, Any] = {k: numbers(v) for k, v in info.metrics.items()}
        line |= {key: dict(value) for key, value in values.items() if value}
        self._write(step, samples, line | _scored(info.scored) | {"stopped": stopped.tolist()})

    def last_look(self, step: int, samples: float, info: Info, stopped: Tensor) -> None:
        """The texts of the last step, scored at the end of a run."""
        self._write(step, samples, {"last": True} | _scored(info.scored) | {"stopped": stopped.tolist()})

    def rest(self, step: int, samples: float, scored: Scored) -> None:
        """Answers of the policy for the rest of the budget."""
        self._write(step, samples, {"last": True, "rest": scored.texts, "energy": numbers(scored.energies.total)})

    def rewrites(self, step: int, samples: float, scored: Scored) -> None:
        """The rewrites that competed with the answers."""
        line = {"last": True, "rewrites": scored.texts, "energy": numbers(scored.energies.total)}
        self._write(step, samples, line)

    def state(self) -> dict[str, Any]:
        """How long the trace is, and the hash of all that."""
        size, digest = self._written
        return {"bytes": size, "sha256": digest.hexdigest()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on behind what was written until then. The file stays as it is until `cut` or the next line.

        Raises:
            SeaError: what was written before is not as it was written.
        """
        if self.path is not None:
            kept = part_of_trace(self.path, state)
            self._written = len(kept), hashlib.sha256(kept)

    def cut(self) -> None:
        """Drop what was written since the loaded state: those steps are taken again.

        Raises:
            SeaError: the folder cannot be written.
        """
        if self.path is not None and self.path.exists():
            self._put(b"")

    def sync(self) -> None:
        """Have it on the disk, whatever happens to the machine: before a checkpoint that goes with it.

        Raises:
            SeaError: the disk is full.
        """
        if self.path is not None and self._written[0]:
            try:
                to_disk(self.path)
            except OSError as error:
                raise run_files.cannot_write(self.path, error) from error

    def _write(self, step: int, samples: float, line: dict[str, Any]) -> None:
        if self.path is not None:
            self._put(run_files.to_line({"step": step, "samples": samples, **line}))

    def _put(self, content: bytes) -> None:
        """Write after what is known, and let the file end there; a part of a line does not stay on a full disk."""
        assert self.path is not None
        size, digest = self._written
        try:
            append_whole(self.path, content, size)
        except OSError as error:
            raise run_files.cannot_write(self.path, error) from error
        digest = digest.copy()
        digest.update(content)
        self._written = size + len(content), digest  # at once: a signal comes before or after


def _scored(scored: Scored | None) -> dict[str, Any]:
    if scored is None:
        return {}
    terms = {k: numbers(v) for k, v in scored.energies.terms.items()}
    return {"energy": numbers(scored.energies.total), "terms": terms, "texts": scored.texts}


def numbers(value: Tensor) -> list[Any]:
    """Per prompt and chain, null where a number is not finite."""
    return [[finite(round(x, 6)) for x in row] for row in value.float().tolist()]
