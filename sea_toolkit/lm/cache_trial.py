"""How a base model's past can be kept, found out on a few tokens when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import FAILURES, agree, is_quantized, probe_ids
from sea_toolkit.lm.reread import Embedded, RereadCache

if TYPE_CHECKING:
    from sea_toolkit.lm.backbone import Backbone

CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")
"""What transformers models call their cache, and in their output too; 5.24 renamed it to the first."""

Pairs = list[tuple[Tensor, Tensor]]
"""Hidden states as they were computed, and as they should be."""


@torch.no_grad()
def settle(backbone: Backbone) -> None:
    """Set `shares_prefix`, `keeps_state` and `writes` of a backbone, and add a note where it is slower than others.

    Raises:
        ModelError: a row of a batch differs from the same row alone.
    """
    embeds = backbone.embedding(probe_ids(backbone.embedding))
    original = embeds.clone()
    right = backbone.base(inputs_embeds=original, **backbone.plain)[0]
    backbone.writes = not torch.equal(original, embeds)
    if _has_keys_and_values(backbone.base) and _works(_shared, backbone, embeds, right):
        return
    backbone.shares_prefix = False
    what = f"{backbone.name} ({type(backbone.base).__name__})"
    if not _works(_batch, backbone, embeds, right):
        raise ModelError(
            f"{what} reads a text in a batch otherwise than alone",
            expected="a causal language model whose rows do not depend on each other",
        )
    backbone.keeps_state = backbone.cache_name is not None and _works(_stepped, backbone, embeds, right)
    how = "its own state serves while one is drawn" if backbone.keeps_state else "with every token that is drawn"
    backbone.notes.append(
        f"{what} has no cache that answers can share: the prompt is read again with every answer, and {how}"
    )


def _works(way: Callable[[Backbone, Tensor, Tensor], Pairs], backbone: Backbone, embeds: Tensor, right: Tensor) -> bool:
    dtype = torch.bfloat16 if is_quantized(backbone.base) else embeds.dtype
    try:
        return all(agree(tried, expected, dtype) for tried, expected in way(backbone, embeds, right))
    except FAILURES:
        return False


def _shared(backbone: Backbone, embeds: Tensor, right: Tensor) -> Pairs:
    """Two prompts of 5 and 8 tokens in one batch, and the 4 tokens after each."""
    ids = probe_ids(backbone.embedding)[0].tolist()
    prefix = backbone.prefix([ids[:5], ids[:8]])
    after = backbone.hidden(prefix, torch.stack([embeds[0, 5:9], embeds[0, 8:12]])[:, None])[:, 0]
    return [(prefix.last_hidden, right[0, [4, 7]]), (after, torch.stack([right[0, 5:9], right[0, 8:12]]))]


def _batch(backbone: Backbone, embeds: Tensor, right: Tensor) -> Pairs:
    """The text in one batch with its first 9 tokens."""
    mask = torch.ones(2, embeds.shape[1], dtype=torch.bool, device=embeds.device)
    mask[1, :3] = False
    states = backbone.read(torch.cat([embeds, embeds.roll(3, 1)]), mask)
    return [(states[0], right[0]), (states[1, 3:], right[0, :9])]


def _stepped(backbone: Backbone, embeds: Tensor, right: Tensor) -> Pairs:
    """Texts of 6 and 5 tokens, of which the first leaves, token by token with the model's own state."""
    backbone.keeps_state = True
    mask = torch.ones(2, 6, dtype=torch.bool, device=embeds.device)
    mask[1, 0] = False
    cache = RereadCache(Embedded(torch.cat([embeds[:, :6], embeds[:, :6].roll(1, 1)]), mask))
    both = backbone.reread(cache, embeds[0, [6, 5], None])[:, 0]
    if not all(isinstance(group.state, Cache) for group in cache.running):
        raise TypeError("a state whose rows cannot be chosen")
    cache.keep_rows(torch.tensor([1], device=embeds.device))
    one = backbone.reread(cache, embeds[0, [6], None])[:, 0]
    return [(both, right[0, [6, 5]]), (one, right[0, [6]])]


def long_from(base: Any) -> int | None:
    """The length beyond which a model has other position factors for the whole text ("longrope": Phi-3 and later);
    transformers chooses them by the longest text of a batch. None for all other models."""
    config = getattr(base, "config", None)
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    lengths = [kind.get("original_max_position_embeddings") for kind in kinds if kind.get("rope_type") == "longrope"]
    longest = getattr(config, "max_position_embeddings", None)
    known = [length for length in lengths if length is not None and (longest is None or length < longest)]
    return min(known, default=None)


def _has_keys_and_values(base: Any) -> bool:
    """Whether transformers keeps keys and values alone for each layer of the model."""
    try:
        layers = DynamicCache(config=base.config).layers
    except FAILURES:
        return False
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
