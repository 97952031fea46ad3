"""The sampler `tempering` for sea_toolkit: replica exchange between the policy and the energy."""

from __future__ import annotations

from sea_toolkit import Register, hookimpl

sea_api = 1


@hookimpl
def sea_register_samplers(register: Register) -> None:
    """Register the sampler by target: listing plugins needs no torch."""
    register(
        "tempering",
        target="sea_tempering.sampler:Tempering",
        summary="Replica exchange: chains from the policy itself up to the energy, which trade their texts.",
    )
