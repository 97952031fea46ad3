"""Weights & Biases for sea_toolkit: an observer that logs each run with its recipe, its numbers and its answers.

The environment variable `SEA_WANDB` names the project; without it nothing is written. Runs are kept on this machine, in
`wandb/`, unless `WANDB_MODE` says otherwise.
"""

from __future__ import annotations

import math
import os
from typing import Any

from sea_toolkit import Event, hookimpl

sea_api = 1
VARIABLE = "SEA_WANDB"
_open: dict[str, Any] = {}
"""The log of each run that is going on."""


@hookimpl
def sea_observe(event: Event) -> None:
    """Log an event; at a run's start its recipe is the configuration, at its end its answers are a table."""
    project = os.environ.get(VARIABLE, "")
    if not project:
        return
    import wandb

    if event.run not in _open:
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True, console="off")
        _open[event.run] = wandb.init(
            project=project, id=event.run, config=event.recipe, mode=mode, settings=settings, reinit="create_new"
        )
    run = _open[event.run]
    run.log(numbers(event), step=event.step)
    if event.kind == "end":
        rows = [[r["prompt"], r["base_response"], r["response"], r["energy"]["after"]] for r in event.results]
        run.log({"answers": wandb.Table(["prompt", "base", "aligned", "energy"], rows)}, step=event.step)
        _open.pop(event.run).finish()


def numbers(event: Event) -> dict[str, float]:
    """The finite numbers of an event: lowest energies, the sampler's metrics (mean over chains) and samples spent."""
    found = {f"prompt {p + 1}/lowest energy": energy for p, energy in enumerate(event.energy)}
    for name, rows in event.metrics.items():
        found |= {f"prompt {p + 1}/{name}": sum(row) / len(row) for p, row in enumerate(rows) if row}
    return {name: value for name, value in (found | {"samples": event.samples}).items() if math.isfinite(value)}
