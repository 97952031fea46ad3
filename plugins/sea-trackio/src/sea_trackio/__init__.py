"""Trackio for sea_toolkit: an observer that logs each run with its recipe, its numbers and its answers.

The environment variable `SEA_TRACKIO` names the project; without it nothing is written.
"""

from __future__ import annotations

import math
import os
from typing import Any

from sea_toolkit import Event, hookimpl

sea_api = 1
VARIABLE = "SEA_TRACKIO"
_open: dict[str, Any] = {}
"""The log of each run that is going on."""


@hookimpl
def sea_observe(event: Event) -> None:
    """Log an event; at a run's start its recipe is the configuration, at its end its answers are logged as texts."""
    project = os.environ.get(VARIABLE, "")
    if not project:
        return
    import trackio

    if event.run not in _open:
        _open[event.run] = trackio.init(
            project, name=event.run, config=event.recipe, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )
    texts = {f"prompt {p + 1}/answer": r["response"] for p, r in enumerate(event.results)}
    _open[event.run].log({**numbers(event), **texts}, step=event.step)
    if event.kind == "end":
        _open.pop(event.run).finish()


def numbers(event: Event) -> dict[str, float]:
    """The finite numbers of an event: lowest energies, the sampler's metrics (mean over chains) and samples spent."""
    found = {f"prompt {p + 1}/lowest energy": energy for p, energy in enumerate(event.energy)}
    for name, rows in event.metrics.items():
        found |= {f"prompt {p + 1}/{name}": sum(row) / len(row) for p, row in enumerate(rows) if row}
    return {name: value for name, value in (found | {"samples": event.samples}).items() if math.isfinite(value)}
