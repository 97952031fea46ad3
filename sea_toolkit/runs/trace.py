"""The trace of a run: a line of JSON for each step, written as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sea_toolkit.problem.scores import Scored
from sea_toolkit.runs.checkpoint import append_trace
from sea_toolkit.runs.result import finite
from sea_toolkit.samplers.base import Info


class Trace:
    """Writes lines to a run's folder, or nowhere.

    Args:
        folder: of the run, or None.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def step(self, step: int, samples: float, info: Info, stopped: Tensor, schedules: Mapping[str, float]) -> None:
        """A step: what it scored, its metrics, and the values of the schedules that follow the run."""
        line: dict[str, Any] = {k: numbers(v) for k, v in info.metrics.items()}
        if schedules:
            line["schedules"] = dict(schedules)
        self._write(step, samples, line | _scored(info.scored) | {"stopped": stopped.tolist()})

    def last_look(self, step: int, samples: float, info: Info, stopped: Tensor) -> None:
        """The texts of the last step, scored at the end of a run."""
        self._write(step, samples, {"last": True} | _scored(info.scored) | {"stopped": stopped.tolist()})

    def rewrites(self, step: int, samples: float, scored: Scored) -> None:
        """The rewrites that competed with the answers."""
        line = {"last": True, "rewrites": scored.texts, "energy": numbers(scored.energies.total)}
        self._write(step, samples, line)

    def _write(self, step: int, samples: float, line: dict[str, Any]) -> None:
        if self.folder is not None:
            append_trace(self.folder, {"step": step, "samples": samples, **line})


def _scored(scored: Scored | None) -> dict[str, Any]:
    if scored is None:
        return {}
    terms = {k: numbers(v) for k, v in scored.energies.terms.items()}
    return {"energy": numbers(scored.energies.total), "terms": terms, "texts": scored.texts}


def numbers(value: Tensor) -> list[Any]:
    """Per prompt and chain, null where a number is not finite."""
    return [[finite(round(x, 6)) for x in row] for row in value.float().tolist()]
