"""The transformer under a head: embeddings in, hidden states out, behind a prefix that is computed once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.kv_cache import Prefix, growing_cache, read_cache


class Backbone:
    """The base model of a decoder-only transformers model.

    Args:
        base: the module under the head.
        embedding: its token embedding.
        name: for messages.
        filler: a token id for padding (never attended to).

    Raises:
        ModelError: the model takes no input embeddings or no key/value cache.
    """

    def __init__(self, base: nn.Module, embedding: nn.Module, name: str, filler: int = 0) -> None:
        self.base, self.embedding, self.filler = base, embedding, filler
        # transformers 5.24 renamed the argument; both names are current
        parameters = inspect.signature(base.forward).parameters
        self._cache_name = "cache" if "cache" in parameters else "past_key_values"
        if self._cache_name not in parameters or "inputs_embeds" not in parameters:
            raise ModelError(
                f"{name} ({type(base).__name__}) takes no key/value cache or no input embeddings",
                expected="a decoder-only transformer with attention",
            )
        self._takes_positions = "position_ids" in parameters
        self._table: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        return self.embedding.weight  # type: ignore[return-value]

    @property
    def table(self) -> Float[Tensor, "V D"]:
        """The embedding of every token as the model sees it, with any scale the embedding module applies (Gemma)."""
        if self._table is None:
            self._table = embedding_table(self.embedding)
        return self._table

    @torch.no_grad()
    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts once and keep their keys and values. Each row has at least one token."""
        width = max(len(r) for r in rows)
        ids = torch.tensor([[self.filler] * (width - len(r)) + list(r) for r in rows], device=self.weight.device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=self.weight.device).bool()
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache()
        hidden = self.run(self.embedding(ids), mask, positions, cache)
        return Prefix(ids, mask, read_cache(cache, 0, width), hidden[:, -1].clone())

    def hidden(
        self,
        prefix: Prefix | None,
        embeds: Float[Tensor, "P C n D"],
        mask: Bool[Tensor, "P C n"] | None = None,
    ) -> Float[Tensor, "P C n D"]:
        """Final hidden states of tokens behind the prefix; differentiable in `embeds`.

        Args:
            prefix: what comes before, one row per prompt, or None for nothing.
            embeds: embeddings of the tokens.
            mask: false where a token is to be skipped: nothing sees it and it takes no position.
        """
        p, c, n, _ = embeds.shape
        rows, order = embeds.reshape(p * c, n, -1), None
        seen = torch.ones(p * c, n, dtype=torch.bool, device=embeds.device) if mask is None else mask.flatten(0, 1)
        if mask is not None:
            # skipped tokens go to the end: a sliding window counts places in the row, not positions
            order = (~seen).long().argsort(dim=-1, stable=True)[..., None].expand_as(rows)
            rows, seen = rows.gather(1, order), seen.gather(1, order[..., 0])
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        cache = None
        if prefix is not None:
            cache = growing_cache(prefix.rows(c))
            before = prefix.mask.repeat_interleave(c, 0)
            positions = positions + before.sum(-1, keepdim=True)
            seen = torch.cat([before, seen], -1)
        found = self.run(rows, seen, positions, cache)
        if order is not None:
            found = torch.zeros_like(found).scatter(1, order, found)
        return found.unflatten(0, (p, c))

    def run(
        self,
        embeds: Float[Tensor, "rows n D"],
        mask: Bool[Tensor, "rows seen"],
        positions: Int[Tensor, "rows n"],
        cache: Any,
    ) -> Float[Tensor, "rows n D"]:
        """The base model on rows of embeddings behind an open cache (None: behind nothing), which grows by them."""
        extra: dict[str, Any] = {self._cache_name: cache, "use_cache": cache is not None}
        if self._takes_positions:
            extra["position_ids"] = positions
        return self.base(inputs_embeds=embeds, attention_mask=mask, **extra)[0]


@torch.no_grad()
def embedding_table(embedding: nn.Module) -> Float[Tensor, "V D"]:
    """What an embedding module gives for every token; its own weights where it does nothing else."""
    weight: Tensor = embedding.weight  # type: ignore[assignment]
    some = torch.arange(min(8, weight.shape[0]), device=weight.device)
    if torch.equal(embedding(some), weight[some]):
        return weight.detach()
    found: Tensor = embedding(torch.arange(weight.shape[0], device=weight.device))
    return found
