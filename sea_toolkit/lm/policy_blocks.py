"""A policy's first blocks, as a probe reads them: cut, tried and opened once for each policy, not in each run."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.fingerprint import state_sample
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.lm.truncate import truncate

_KEPT: WeakKeyDictionary[Policy, dict[int, PolicyBlocks]] = WeakKeyDictionary()


class PolicyBlocks:
    """The first blocks.

    Args:
        policy: whose weights they share.
        layers: how many.

    Attributes:
        module: see `truncate`.
        backbone: the same, to be read after a prefix.
        opening: the tokens that the tokenizer writes in front of a text, read once; None if it writes none.
        sample: the hidden state that says which weights these are, see `state_sample`.

    Raises:
        ModelError: the policy has fewer blocks, or cannot be cut.
    """

    def __init__(self, policy: Policy, layers: int) -> None:
        self.module: Any = truncate(policy.model, layers)
        self.sample = state_sample(self.module, policy.tokenizer, policy.device)
        self.backbone = Backbone(self.module, policy.backbone.embedding, policy.name)
        opening, _ = wrapping(policy.tokenizer)
        self.opening = self.backbone.prefix([opening]) if opening else None

    @classmethod
    def of(cls, policy: Policy, layers: int) -> PolicyBlocks:
        """Those that were made before for this policy, or new ones: the trials take a dozen short passes."""
        kept = _KEPT.setdefault(policy, {})
        if layers not in kept:
            kept[layers] = cls(policy, layers)
        return kept[layers]
