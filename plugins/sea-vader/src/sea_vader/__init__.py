"""The energy `vader` for sea_toolkit: sentiment by a lexicon."""

from __future__ import annotations

from sea_toolkit import Register, hookimpl

sea_api = 1


@hookimpl
def sea_register_energies(register: Register) -> None:
    """Register the energy; the lexicon is read at its first use."""
    register(
        "vader",
        target="sea_vader.energy:vader",
        summary="Distance of the text's sentiment, by the VADER lexicon, from a wanted one.",
    )
