"""MLflow for sea_toolkit: an observer that logs each run with its recipe, its numbers and its results.

The environment variable `SEA_MLFLOW` names the experiment; without it nothing is written. Where to is MLflow's own
`MLFLOW_TRACKING_URI`.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

from sea_toolkit import Event, hookimpl

sea_api = 1
VARIABLE = "SEA_MLFLOW"
_open: dict[str, str] = {}
"""MLflow's id of each run that is going on."""


@hookimpl
def sea_observe(event: Event) -> None:
    """Log an event; at a run's start its recipe becomes parameters, at its end its results are kept as a file."""
    experiment = os.environ.get(VARIABLE, "")
    if not experiment:
        return
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client, now = MlflowClient(), int(time.time() * 1000)
    if event.run not in _open:
        known = client.get_experiment_by_name(experiment)
        place = client.create_experiment(experiment) if known is None else known.experiment_id
        _open[event.run] = client.create_run(place, run_name=event.run).info.run_id
        client.log_dict(_open[event.run], event.recipe, "recipe.json")
        client.log_batch(_open[event.run], params=[Param(k, v[:500]) for k, v in parameters(event.recipe)])
    run = _open[event.run]
    client.log_batch(run, metrics=[Metric(name, value, now, event.step) for name, value in numbers(event).items()])
    if event.kind == "end":
        client.log_dict(run, {"results": event.results}, "results.json")
        client.set_terminated(_open.pop(event.run))


def parameters(value: Any, name: str = "") -> list[tuple[str, str]]:
    """The single values of a recipe by their keys: `sampler.budget`, `energies.0.weight`."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return [pair for key, entry in inner for pair in parameters(entry, f"{name}.{key}".lstrip("."))]
    return [(name, str(value))]


def numbers(event: Event) -> dict[str, float]:
    """The finite numbers of an event: lowest energies, the sampler's metrics (mean over chains) and samples spent."""
    found = {f"prompt {p + 1}/lowest energy": energy for p, energy in enumerate(event.energy)}
    for name, rows in event.metrics.items():
        found |= {f"prompt {p + 1}/{name}": sum(row) / len(row) for p, row in enumerate(rows) if row}
    return {name: value for name, value in (found | {"samples": event.samples}).items() if math.isfinite(value)}
