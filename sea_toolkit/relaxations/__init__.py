"""Relaxations: from a sampler's latent to token weights. `f(logits, **options) -> weights`, both `[P, C, T, K]`.

K is the whole vocabulary or a few candidates per position; a relaxation does not need to know which. A
candidate with logit -inf is padding: its weight is exactly 0. One whose first parameter is `points` works in the
policy's embedding space instead.
"""

from __future__ import annotations

from sea_toolkit.hookspecs import Register, hookimpl

_HERE = "sea_toolkit.relaxations"


@hookimpl
def sea_register_relaxations(register: Register) -> None:
    """Register the relaxations in the box."""
    register("softmax", target=f"{_HERE}.softmax:softmax", summary="Softmax at a temperature.")
    register(
        "straight-through",
        target=f"{_HERE}.straight_through:straight_through",
        summary="The best token forward, the softmax's gradient backward.",
    )
    register(
        "gumbel-softmax",
        target=f"{_HERE}.gumbel_softmax:gumbel_softmax",
        summary="Softmax of the logits plus Gumbel noise; optionally one-hot forward.",
    )
    register(
        "sparsemax",
        target=f"{_HERE}.sparsemax:sparsemax",
        summary="The nearest point of the simplex: few tokens, the others exactly 0.",
    )
    register(
        "entmax",
        target=f"{_HERE}.entmax:entmax",
        summary="Between softmax and sparsemax: sparse, and smooth in between.",
    )
    register(
        "embedding",
        target=f"{_HERE}.embedding:embedding",
        summary="A point in embedding space, read as the nearest token (MuCoLa).",
    )
