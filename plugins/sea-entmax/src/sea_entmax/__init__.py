"""The relaxation `normmax` for sea_toolkit: a soft top-k by the `entmax` package."""

from __future__ import annotations

from sea_toolkit import Register, hookimpl

sea_api = 1


@hookimpl
def sea_register_relaxations(register: Register) -> None:
    """Register the relaxation; torch and entmax come in at its first use."""
    register(
        "normmax",
        target="sea_entmax.relaxations:normmax",
        summary="Few candidates with nearly equal weights: a soft top-k that chooses k by itself.",
    )
