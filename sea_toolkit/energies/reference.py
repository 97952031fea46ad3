"""The energy `reference`: −log π(y|x), what keeps an answer one the policy could have given."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.cross_entropy import expected_cost
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Energy, PolicyEnergy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.policy_likelihood import policy_log_prob


class Reference(Energy):
    """Expected negative log-probability of the response under the policy, in nats.

    For a relaxed response, token t costs `Σ_v p_t(v) · (−log π(v | x, soft y_<t))`, weighted with its survival; for
    a one-hot response that is −log π(y|x), the end-of-text token included.

    Args:
        normalize: "sum" over the tokens, as in the target law; "mean" divides by the expected length. A weight on
            the mean of a 50-token answer is worth 50 times less than on its sum.
        gradient: "full" also differentiates what the policy has read (through the LM); "inputs-detached" only
            the token's own probability, so that no gradient runs through the LM (the released SEA code).
    """

    differentiable = True

    def __init__(
        self,
        *,
        normalize: Literal["sum", "mean"] = "sum",
        gradient: Literal["full", "inputs-detached"] = "full",
    ) -> None:
        self.normalize, self.gradient = normalize, gradient

    def outlook(self, foresight: Foresight) -> Outlook:
        """The policy itself."""
        return Outlook("policy", is_reward=False)

    def bind(self, context: Context) -> PolicyEnergy:
        reader = PolicyCost(self, context)
        return PolicyEnergy(energy=reader.energy, per_nat=reader.per_nat, of_text=reader.of_text)


class PolicyCost:
    """−log π of the responses of a run."""

    def __init__(self, settings: Reference, context: Context) -> None:
        self.settings, self.context = settings, context

    def per_nat(self, length: Float[Tensor, "P C"]) -> Float[Tensor, "P C"]:
        """What one nat of the summed −log π counts in this term."""
        return 1.0 / length.clamp(min=1.0) if self.settings.normalize == "mean" else torch.ones_like(length)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        policy = self.context.policy
        embeds = response.embed(policy.table)
        if self.settings.gradient == "inputs-detached":
            embeds = embeds.detach()
        p, c, t, _ = embeds.shape
        back = embeds.requires_grad
        hidden = policy.predictors(self.context.prefix, embeds, response.alive > 0)
        self.context.ledger.forward("policy", p * c * (t - 1), policy.body_parameters, backward=back)
        self.context.ledger.forward("policy", p * c * t, policy.head_parameters, backward=back)
        return self.from_hidden(response, hidden)

    def of_text(
        self,
        response: SoftResponse,
        known: Float[Tensor, "P C"] | None,
        same: Bool[Tensor, "P C"] | None,
    ) -> Float[Tensor, "P C"]:
        """The energy of hard responses; where `same` holds, Σ log π is taken from `known` and the row is not run
        again."""
        (p, c, t), policy = response.shape, self.context.policy
        total = policy_log_prob(response, self.context, known, same)
        run = p * c if same is None else int((~same).sum())
        self.context.ledger.forward("policy", run * (t - 1), policy.body_parameters)
        self.context.ledger.forward("policy", run * t, policy.head_parameters)
        return -total * self.per_nat(response.expected_length())

    def from_hidden(
        self, response: SoftResponse, hidden: Float[Tensor, "P C T D"], chunk_rows: int = 64
    ) -> Float[Tensor, "P C"]:
        """The energy, given the hidden states that predict each token; a few rows of `[rows, V]` at a time."""
        rows = hidden.flatten(0, 2)
        weights = response.weights.flatten(0, 2)
        if response.taps is not None:
            raise TypeError("the reference term is not read through taps: proposals follow the policy itself")
        candidates = None if response.candidates is None else response.candidates.flatten(0, 2)
        costs = expected_cost(rows, weights, candidates, self.context.policy.logits, chunk_rows)
        cost = costs.unflatten(0, response.shape)
        # the cost after the end may be infinite, and 0 · inf is NaN
        total = torch.where(response.alive > 0, cost * response.alive, 0.0).sum(-1)
        return total * self.per_nat(response.expected_length())
