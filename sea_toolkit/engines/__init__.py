"""Engines: who gives pieces of work to workers, and starts new workers where some have died.

An engine may lose workers, start pieces twice and die itself: what is done is in the folder of the job, see `work.job`.
"""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl

_HERE = "sea_toolkit.engines"


@hookimpl
def sea_register_engines(register: Register) -> None:
    """Register the engines in the box."""
    register("local", target=f"{_HERE}.local:local", summary="Processes on this machine.")
    register("ray", target=f"{_HERE}.ray:ray", summary="Actors of Ray, on this machine or a cluster (extra ray).")
