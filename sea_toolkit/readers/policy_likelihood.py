"""log π of the policy's own answers, in the tokens and the frame that it writes them in."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.answer_likelihood import AnswerLikelihood


def policy_log_prob(
    response: SoftResponse, context: Context, known: Float[Tensor, "P C"] | None, same: Bool[Tensor, "P C"] | None
) -> Float[Tensor, "P C"]:
    """Σ log π of hard responses, the end of text included. Who calls it counts the rows that are run.

    Args:
        response: hard.
        context: of the run.
        known: Σ log π where it is known.
        same: the rows whose value is taken from `known` and that are not run again; None: none of them.
    """
    policy, prefix = context.policy, context.prefix
    p, c, _ = response.shape
    todo = torch.ones(p, c, dtype=torch.bool, device=response.ids.device) if same is None else ~same
    total = torch.zeros(p, c, device=response.ids.device) if known is None else known.clone()
    where = todo.nonzero()
    if len(where):
        mask = response.alive[todo][:, None] > 0
        log_prob = policy.log_prob(prefix.select(where[:, 0]), response.ids[todo][:, None], mask)
        total[todo] = torch.where(mask, log_prob, 0.0).sum(-1).squeeze(1)
    return total


class PolicyLikelihood(AnswerLikelihood):
    """The same as of any other model, but for the values of hard responses: those are the policy's own −log π, which a
    run knows of most texts already. The gradient is that of the answer's likelihood."""

    def of_response(self, response: SoftResponse) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Of P · C responses, and the number of tokens."""
        if response.weights.shape[-1] > 1:
            return super().of_response(response)
        with torch.no_grad():
            known = response.log_prob
            exact = policy_log_prob(response, self.context, known, None if known is None else ~known.isnan()).flatten()
            tokens = response.expected_length().flatten()
        if not torch.is_grad_enabled() or (response.taps is None and not response.weights.requires_grad):
            return exact, tokens
        slope, _ = super().of_response(response)
        return exact + (slope - slope.detach()), tokens
