"""A probe that reads a soft response: a linear head on an early layer of the policy itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeGuard

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.fingerprint import policy_fingerprint
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.probe import Probe


def is_probe(source: Path | str) -> TypeGuard[Path]:
    """Whether a model's source is a single file, as every probe is."""
    return isinstance(source, Path) and source.is_file()


class ProbeReader:
    """The reward `[P, C]` that a probe gives to responses in the policy's tokens.

    Args:
        probe: made for this policy.
        label: for the ledger.
        context: of the run.

    Attributes:
        warnings: small differences from the policy that the probe was made for.
        fingerprint: of its weights.

    Raises:
        ModelError: a probe of another policy.
    """

    def __init__(self, probe: Probe, label: str, context: Context) -> None:
        policy = context.policy
        self.warnings = probe.check(policy_fingerprint(policy.model, policy.tokenizer, policy.name))
        self.fingerprint = hashlib.sha256(probe.weight.cpu().numpy().tobytes()).hexdigest()
        self.probe, self.table = probe.to(policy.device), policy.table
        truncated = context.use_model(f"reward:{label}", truncate(policy.model, probe.layer))
        self.backbone = Backbone(truncated, policy.backbone.embedding, policy.name)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        hidden = self.backbone.hidden(None, response.embed(self.table))
        return self.probe.score_hidden(hidden, response.content)
