"""Of the verdicts on the steps of an answer one number."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sea_toolkit.energies.process_reward.forms import Combine


def combined(
    log_odds: Float[Tensor, "N E"], counts: Int[Tensor, " N"], how: Combine, scale: Literal["probability", "log-odds"]
) -> Float[Tensor, " N"]:
    """Last, least, mean or product of the first verdicts in each row; NaN for a row without any.

    Args:
        log_odds: that a step is right.
        counts: how many there are in each row.
        how: they are combined.
        scale: of each verdict.
    """
    inside = torch.arange(log_odds.shape[1], device=log_odds.device) < counts[:, None]
    if how == "product":
        value = torch.where(inside, nn.functional.logsigmoid(log_odds), 0.0).sum(-1).exp()
    else:
        each = log_odds if scale == "log-odds" else log_odds.sigmoid()
        if how == "last":
            value = each.gather(1, (counts - 1).clamp(min=0)[:, None]).squeeze(1)
        elif how == "min":
            value = torch.where(inside, each, torch.inf).amin(-1)
        else:
            value = torch.where(inside, each, 0.0).sum(-1) / counts.clamp(min=1)
    return value.masked_fill(counts == 0, torch.nan)
