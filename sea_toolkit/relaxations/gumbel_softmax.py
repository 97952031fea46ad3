"""The relaxation `gumbel-softmax`."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.relaxations.numerics import one_hot_forward, tempered_softmax


def gumbel_softmax(
    logits: Float[Tensor, "P C T K"],
    noise: Noise,
    *,
    temperature: Annotated[float, Field(gt=0)] = 1.0,
    hard: bool = False,
) -> Float[Tensor, "P C T K"]:
    """Softmax of the logits plus Gumbel noise: `softmax((logits + g) / temperature)`, new noise at each call.

    The largest weight falls on token v with probability `softmax(logits)[v]`, whatever the temperature.

    Args:
        temperature: towards 0 each draw becomes one-hot.
        hard: one-hot forward (an exact draw from `softmax(logits)`), the softmax's gradient backward.

    Source: Jang, Gu and Poole, 2017, arXiv 1611.01144; Maddison, Mnih and Teh, 2017, arXiv 1611.00712.
    """
    _, chains, positions, candidates = logits.shape
    # In the noise's precision: bfloat16 sums would tie too often to follow the law.
    scores = logits + noise.gumbel(chains, positions, candidates).to(logits.device)
    soft = tempered_softmax(scores, temperature).to(logits.dtype)
    return one_hot_forward(soft, scores) if hard else soft
