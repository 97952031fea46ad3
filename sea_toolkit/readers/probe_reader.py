"""A probe that reads a soft response in the policy's own pass: a head on an early layer of the policy itself."""

from __future__ import annotations

from pathlib import Path
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.fingerprint import model_facts
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.policy_blocks import PolicyBlocks
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.shared_reading import SharedReading


def is_probe(source: Path | str) -> TypeGuard[Path]:
    """Whether a model's source is a single file, as every probe is."""
    return isinstance(source, Path) and source.is_file()


class PolicyView:
    """The policy as far as a probe reads it, if it is the model that the probe was made for.

    Args:
        probe: any.
        policy: of the run.

    Attributes:
        view: the blocks that the probe reads; None if the policy is another model.
        notes: small differences of a policy that was derived from the probe's model.
    """

    def __init__(self, probe: Probe, policy: Policy) -> None:
        self.view: PolicyBlocks | None = None
        self.notes: list[str] = []
        if probe.other_facts(model_facts(policy.model, policy.tokenizer, policy.name)):
            return
        view = PolicyBlocks.of(policy, probe.layer)
        distance = probe.distance(view.sample)
        if probe.related(distance):
            self.view, self.notes = view, probe.notes(distance, policy.name)


class ProbeReader:
    """The reward `[P, C]` that a probe gives to responses in the policy's tokens.

    Args:
        probe: made for this policy.
        view: the policy's blocks, from `PolicyView`.
        label: for the ledger.
        context: of the run.
    """

    def __init__(self, probe: Probe, view: PolicyBlocks, label: str, context: Context) -> None:
        policy = context.policy
        self.probe, self.table = probe.to(policy.device), policy.table
        key = ("states of the policy", probe.layer)
        # another probe on the same block reads the same states, at no cost but that of a pass back
        context.use_model(f"reward:{label}", view.module, flops_per_token=0.0 if key in context.models else None)
        self._shared = context.load_once(key, lambda: SharedReading(context.ledger))
        self.backbone, self.opening = view.backbone, view.opening

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Rewards, float32."""
        return self.probe.head.of_tokens(self._shared.of(response, self._states), response.content)

    def _states(self, response: SoftResponse) -> Float[Tensor, "P C T D"]:
        """The outputs of the block that the probe reads, at the response's tokens."""
        embeds = response.embed(self.table)
        first = torch.zeros(len(embeds), dtype=torch.long, device=embeds.device)
        before = None if self.opening is None else self.opening.select(first)
        return self.backbone.hidden(before, embeds)
