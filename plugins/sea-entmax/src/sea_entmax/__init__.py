"""The relaxations `entmax-bisect` and `normmax` for sea_toolkit: sparse token weights by the `entmax` package."""

from __future__ import annotations

from sea_toolkit import hookimpl
from sea_toolkit.hookspecs import Register

sea_api = 1


@hookimpl
def sea_register_relaxations(register: Register) -> None:
    """Register the relaxations; torch and entmax come in at their first use."""
    register(
        "entmax-bisect",
        target="sea_entmax.relaxations:entmax_bisect",
        summary="From softmax (alpha 1) over sparsemax (2) to ever fewer candidates; alpha may follow a schedule.",
    )
    register(
        "normmax",
        target="sea_entmax.relaxations:normmax",
        summary="Few candidates with nearly equal weights: a soft top-k that chooses k by itself.",
    )
