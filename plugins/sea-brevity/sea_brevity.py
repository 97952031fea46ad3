"""The energy `brevity` for sea_toolkit: each token costs something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

import sea_toolkit as sea

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

sea_api = 1


@sea.hookimpl
def sea_register_energies(register: sea.Register) -> None:
    """Register the energy."""

    @register("brevity")
    def brevity(
        response: sea.SoftResponse,
        *,
        per_token: Annotated[float, Field(ge=0)] = 0.1,
        free: Annotated[float, Field(ge=0)] = 0.0,
    ) -> Float[Tensor, "P C"]:
        """Energy per expected token: shorter answers are better.

        A geometric prior over lengths: each token beyond the free ones makes an answer `exp(per_token)` times less
        likely. The expected length is a sum of survival probabilities, so there is a gradient towards ending
        earlier. Unlike `length`, it has no target: it trades length for the other terms at a fixed price.

        Args:
            per_token: the price of a token, in nats.
            free: so many tokens cost nothing, the end of text included.
        """
        return per_token * (response.expected_length() - free).clamp(min=0.0)
