"""An engine from the options of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import RecipeError

if TYPE_CHECKING:
    from sea_toolkit.work.engine import Engine


def asked_engine(
    engine: dict[str, Any] | None,
    workers: int | None,
    gpus_per_worker: float | None,
    address: str | None,
    needed: Mapping[str, object],
) -> Engine | None:
    """From the options of a command; None where this process is to do all by itself.

    Args:
        engine, workers, gpus_per_worker, address: see `shared_options.engine_options`.
        needed: options that an engine cannot be without, with their values.

    Raises:
        RecipeError: options for an engine without one, or an engine without what it needs.
    """
    from sea_toolkit.work.engine import Engine

    if engine is None:
        for name, value in {"--gpus-per-worker": gpus_per_worker, "--address": address}.items():
            if value is not None:
                raise RecipeError(f"{name} without an engine", expected="--engine NAME beside it")
        if workers is None:
            return None
    refuse_without("an engine", needed)
    if engine is None:
        return Engine("local", workers or 1)
    options = {key: value for key, value in engine.items() if key != "name"}
    if address is not None:
        options["address"] = address
    return Engine(engine["name"], workers or 1, gpus_per_worker or 0.0, options)


def arguments(crew: Engine | None) -> dict[str, Any]:
    """The same for a function of Python that takes an engine."""
    if crew is None:
        return {}
    return {"engine": {"name": crew.name, **crew.options}, "workers": crew.workers, "gpus_per_worker": crew.gpus}


def refuse_without(what: str, needed: Mapping[str, object]) -> None:
    """Refuse to share out work where it is not in a folder, which workers take it from and leave it in.

    Args:
        what: would share it out, for messages.
        needed: options with their values.

    Raises:
        RecipeError: one of them was not given.
    """
    if any(value is None for value in needed.values()):
        raise RecipeError(
            f"{what} without {' and '.join(option for option, value in needed.items() if value is None)}",
            expected=f"it with {' and '.join(needed)}: workers share a folder",
        )
