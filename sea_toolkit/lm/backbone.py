"""The transformer under a head: embeddings in, hidden states out, after a prefix that is computed once where it can be
shared."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.cache_trial import CACHE_NAMES, long_from, settle
from sea_toolkit.lm.kv_cache import (
    KeysValues,
    OpenCache,
    Prefix,
    grow_cache,
    growing_cache,
    is_buffered,
    join_rows,
    read_cache,
    rows_of_cache,
)
from sea_toolkit.lm.micro_batches import in_micro_batches
from sea_toolkit.lm.reread import Embedded, RereadCache, Running


class Backbone:
    """The base model of a causal transformers model.

    Whether its past can be shared between answers is found out here: by the layers that transformers has for its cache,
    and by a trial on a few tokens. If it cannot, everything works more slowly, and `notes` says so.

    Args:
        base: the module under the head.
        embedding: its token embedding.
        name: for messages.
        filler: a token id for padding (never attended to).

    Raises:
        ModelError: the model takes no input embeddings, or reads a batch differently from its rows one by one.
    """

    def __init__(self, base: nn.Module, embedding: nn.Module, name: str, filler: int = 0) -> None:
        self.base, self.embedding, self.name, self.filler = base, embedding, name, filler
        parameters = inspect.signature(base.forward).parameters
        if "inputs_embeds" not in parameters:
            raise ModelError(
                f"{name} ({type(base).__name__}) takes no input embeddings", expected="a decoder-only language model"
            )
        self.cache_name = next((key for key in CACHE_NAMES if key in parameters), None)
        self._takes_positions = "position_ids" in parameters
        self.plain = accepted(base, use_cache=False)
        self._switch = long_from(base)
        self._table: Tensor | None = None
        self.notes: list[str] = []
        self.shares_prefix = True
        self.keeps_state = self.writes = False
        settle(self)

    @property
    def weight(self) -> Tensor:
        return self.embedding.weight  # type: ignore[return-value]

    @property
    def table(self) -> Float[Tensor, "rows D"]:
        """The embedding of every token as the model sees it, with any scale the embedding module applies (Gemma)."""
        if self._table is None:
            self._table = embedding_table(self.embedding, self.name)
        return self._table

    @torch.no_grad()
    def prefix(self, rows: Sequence[Sequence[int]]) -> Prefix:
        """Run the prompts once and keep their keys and values. Each row has at least one token."""
        width = max(len(r) for r in rows)
        ids = torch.tensor([[self.filler] * (width - len(r)) + list(r) for r in rows], device=self.weight.device)
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=self.weight.device).bool()
        embeds = self.embedding(ids)
        if not self.shares_prefix or len({self._is_long(len(row)) for row in rows}) > 1:
            return Prefix(ids, mask, Embedded(embeds, mask), self.read(embeds, mask)[:, -1].clone())
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        kept: dict[int, KeysValues] = {}

        def read(part: slice, embeds: Tensor) -> Tensor:
            cache = DynamicCache()
            hidden = self.run(embeds, mask[part], positions[part], cache)
            kept[part.start] = read_cache(cache, 0, width)
            return hidden[:, -1].clone()

        last = in_micro_batches(self.base, embeds, read)
        return Prefix(ids, mask, join_rows([*kept.values()]), last)

    def hidden(
        self,
        prefix: Prefix | None,
        embeds: Float[Tensor, "P C n D"],
        mask: Bool[Tensor, "P C n"] | None = None,
    ) -> Float[Tensor, "P C n H"]:
        """Final hidden states of tokens after the prefix; differentiable in `embeds`.

        Args:
            prefix: what comes before, one row per prompt, or None for nothing.
            embeds: embeddings of the tokens.
            mask: false where a token is skipped: it is never attended to, and takes no position.
        """
        p, c, n, _ = embeds.shape
        seen = torch.ones(p * c, n, dtype=torch.bool, device=embeds.device) if mask is None else mask.flatten(0, 1)

        def read(part: slice, rows: Tensor) -> Tensor:
            before = None if prefix is None else prefix.rows_at(c, part)
            return self._after(before, rows, seen[part], has_gaps=mask is not None)

        context = 0 if prefix is None else prefix.mask.shape[1]
        return in_micro_batches(self.base, embeds.reshape(p * c, n, -1), read, context).unflatten(0, (p, c))

    def _after(
        self,
        prefix: Prefix | None,
        rows: Float[Tensor, "rows n D"],
        seen: Bool[Tensor, "rows n"],
        *,
        has_gaps: bool,
    ) -> Float[Tensor, "rows n H"]:
        """Final hidden states of tokens, each row after its own prefix; see `hidden`."""
        n, order = rows.shape[1], None
        before = None if prefix is None else prefix.layers
        if isinstance(before, Embedded):
            rows, seen = torch.cat([before.embeds, rows], 1), torch.cat([before.mask, seen], -1)
            self._require_one_side(before.mask.sum(-1), seen.sum(-1))
        if isinstance(before, Embedded) or (before is None and (not self.shares_prefix or self._is_long(n))):
            return self.read(rows, seen)[:, -n:]
        if has_gaps:
            # skipped tokens go to the end, because a sliding window counts places in the row rather than positions
            order = (~seen).long().argsort(dim=-1, stable=True)[..., None].expand_as(rows)
            rows, seen = rows.gather(1, order), seen.gather(1, order[..., 0])
        positions = (seen.cumsum(-1) - 1).clamp(min=0)
        cache = None
        if prefix is not None and before is not None:
            cache = growing_cache(before)
            positions = positions + prefix.mask.sum(-1, keepdim=True)
            seen = torch.cat([prefix.mask, seen], -1)
        states = self.run(rows, seen, positions, cache)
        if order is not None:
            states = torch.zeros_like(states).scatter(1, order[..., :1].expand_as(states), states)
        return states

    def run(
        self,
        embeds: Float[Tensor, "rows n D"],
        mask: Bool[Tensor, "rows seen"],
        positions: Int[Tensor, "rows n"],
        cache: OpenCache | None,
    ) -> Float[Tensor, "rows n H"]:
        """The base model on rows of embeddings after an open cache (None: no cache), which grows by them."""
        if isinstance(cache, RereadCache):
            return self.reread(cache, embeds)
        if not is_buffered(cache):
            return self._run(embeds, mask, positions, cache)

        def read(part: slice, rows: Tensor) -> Tensor:
            return self._run(rows, mask[part], positions[part], rows_of_cache(cache, part))

        states = in_micro_batches(self.base, embeds, read, mask.shape[1])
        grow_cache(cache, embeds.shape[1])
        return states

    def _run(
        self, embeds: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache | None
    ) -> Float[Tensor, "rows n H"]:
        if self._switch is not None and cache is not None and len(cache.layers):
            self._require_one_side(positions.amin(-1), positions.amax(-1) + 1)
        extra: dict[str, Any] = {} if self.cache_name is None else {self.cache_name: cache}
        extra |= {"use_cache": cache is not None}
        if self._takes_positions:
            extra["position_ids"] = positions
        # CTRL scales what it is given in place
        return self._states(embeds.clone() if self.writes else embeds, attention_mask=mask, **extra)

    def _states(self, embeds: Tensor, **extra: Any) -> Tensor:
        """What the base makes of embeddings, on their device: a model may be spread over several."""
        states: Tensor = self.base(inputs_embeds=embeds, **extra)[0]
        return states.to(embeds.device)

    def read(self, embeds: Float[Tensor, "rows n D"], mask: Bool[Tensor, "rows n"]) -> Float[Tensor, "rows n H"]:
        """The base model without a cache. Tokens go to the start of their row: what follows cannot change them, so that
        the model needs no mask, and no state of it sees padding."""
        order = (~mask).long().argsort(dim=-1, stable=True)[..., None]
        first = embeds.gather(1, order.expand_as(embeds))
        if self._is_long(embeds.shape[1]):
            states = self._read_by_length(first, mask.sum(-1))
        else:
            states = self._states(first, **self.plain)
        order = order.expand_as(states)
        return torch.zeros_like(states).scatter(1, order, states)

    def _read_by_length(
        self, embeds: Float[Tensor, "rows n D"], lengths: Int[Tensor, " rows"]
    ) -> Float[Tensor, "rows n H"]:
        """Read the rows on either side of the switch separately, each group cut to its longest row."""
        assert self._switch is not None
        states: Tensor | None = None
        for is_long in (False, True):
            rows = ((lengths > self._switch) == is_long).nonzero().squeeze(-1)
            if len(rows):
                width = int(lengths[rows].max().clamp(min=1))
                part = self._states(embeds[rows, :width], **self.plain)
                part = torch.nn.functional.pad(part, (0, 0, 0, embeds.shape[1] - width))
                if states is None:
                    states = part.new_zeros(*embeds.shape[:2], part.shape[-1])
                states = states.index_copy(0, rows, part)
        assert states is not None
        return states

    def _is_long(self, length: int) -> bool:
        return self._switch is not None and length > self._switch

    def _require_one_side(self, before: Int[Tensor, " rows"], after: Int[Tensor, " rows"]) -> None:
        """Refuse texts that grow over the switch: their beginning would be read in two ways.

        Args:
            before, after: lengths of the rows.

        Raises:
            ModelError: a row reaches the switch.
        """
        if self._switch is not None and bool(((before <= self._switch) & (after > self._switch)).any()):
            raise ModelError(
                f"{self.name} changes its position factors at {self._switch} tokens, and an answer reaches that length",
                expected=f"prompts and answers of at most {self._switch} tokens, or prompts beyond it",
                hint="shorten the prompt or lower --max-new-tokens",
            )

    def reread(self, cache: RereadCache, embeds: Float[Tensor, "rows n D"]) -> Float[Tensor, "rows n H"]:
        """Read more tokens, one at a time with the model's own state if it has one, else all from the start."""
        n = embeds.shape[1]
        before = cache.mask.sum(-1)
        cache.append(embeds)
        self._require_one_side(before, before + n)
        if n > 1 or not self.keeps_state or embeds.requires_grad:
            cache.running, mask = [], cache.mask
            return in_micro_batches(self.base, cache.embeds, lambda part, rows: self.read(rows, mask[part])[:, -n:])
        if cache.running:
            lengths = cache.mask.sum(-1)
            pieces = [
                self._step(embeds[group.rows], lengths[group.rows, None] - 1, group.state)[0] for group in cache.running
            ]
        else:
            pieces = self._start(cache)
        rows = torch.cat([group.rows for group in cache.running])
        return torch.cat(pieces)[rows.argsort()]

    def _start(self, cache: RereadCache) -> list[Tensor]:
        """Read all rows, those of one length together, and keep the states after them."""
        lengths = cache.mask.sum(-1)
        pieces = []
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero().squeeze(-1)
            positions = torch.arange(length, device=rows.device).expand(len(rows), -1)
            states, after = self._step(cache.embeds[rows, -length:], positions, None)
            cache.running.append(Running(rows, after))
            pieces.append(states[:, -1:])
        return pieces

    def _step(self, embeds: Tensor, positions: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The base model on rows without padding, and its state after them."""
        assert self.cache_name is not None
        extra = {self.cache_name: state} | ({"position_ids": positions} if self._takes_positions else {})
        output = self.base(inputs_embeds=embeds, use_cache=True, **extra)
        after = next((output[key] for key in CACHE_NAMES if key in output), None)
        return output[0], after


@torch.no_grad()
def embedding_table(embedding: Any, name: str) -> Float[Tensor, "rows D"]:
    """The output of an embedding module for every token; its weights where it is a plain look-up.

    Args:
        embedding: from `model.get_input_embeddings()`.
        name: of the model, for messages.

    Raises:
        ModelError: it is not a module that gives one vector for a token.
    """
    rows: Any = None
    if isinstance(embedding, nn.Module):
        weight: Tensor = embedding.weight  # type: ignore[assignment]
        first = torch.arange(min(8, len(weight)), device=weight.device)
        rows = embedding(first)
    if not isinstance(rows, Tensor):  # a bare parameter (Perceiver), quantized pairs (I-BERT)
        raise ModelError(
            f"{name} cannot be read through its embeddings ({type(embedding).__name__})",
            expected="a model whose input embeddings are one vector for each token",
        )
    if torch.equal(rows, weight[first]):
        return weight.detach()
    table: Tensor = embedding(torch.arange(weight.shape[0], device=weight.device))
    return table
