"""The energy `minilm` for sea_toolkit: closeness of meaning, by sentence embeddings."""

from __future__ import annotations

from sea_toolkit import Register, hookimpl

sea_api = 1


@hookimpl
def sea_register_energies(register: Register) -> None:
    """Register the energy; torch comes in at its first use."""
    register(
        "minilm",
        target="sea_minilm.energy:MiniLM",
        summary="Minus the cosine between the answer's meaning and that of a text, or of the prompt.",
    )
