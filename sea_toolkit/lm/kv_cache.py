"""The prompts' key/value cache: computed once, expanded to chains, never mutated.

transformers caches grow in place (transformers #37078), so every forward pass here gets a fresh cache object around
the stored tensors. A model without shareable keys and values has a prefix of embeddings instead (`Embedded`); every
function here takes either kind, so that callers need not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from sea_toolkit.lm.reread import Embedded, RereadCache

KeysValues = list[tuple[Tensor, Tensor]]
"""Per layer of the model: keys and values `[rows, heads, length, head width]`. Empty for a model that shares none."""

OpenCache = DynamicCache | RereadCache
"""A cache that a forward pass extends."""


@dataclass(frozen=True)
class Prefix:
    """P prompts, left-padded to one length S.

    Attributes:
        ids: `[P, S]`; padding on the left.
        mask: `[P, S]`, true on prompt tokens.
        layers: keys and values `[P, heads, S, head width]` per layer, or the embeddings of a prompt that is read again.
        last_hidden: `[P, D]`, the final hidden state of the last prompt token: it predicts the first response token.
    """

    ids: Int[Tensor, "P S"]
    mask: Bool[Tensor, "P S"]
    layers: KeysValues | Embedded
    last_hidden: Float[Tensor, "P D"]

    def positions(self, start: int, stop: int) -> Int[Tensor, "P n"]:
        """Position ids of response tokens start … stop − 1: counted from each prompt's own length."""
        steps = torch.arange(start, stop, device=self.mask.device)
        return self.mask.sum(-1, keepdim=True) + steps

    def select(self, prompts: Int[Tensor, " n"]) -> Prefix:
        """The given prompts' prefixes, one row each, in that order."""
        layers = self.layers
        chosen = (
            layers.select(prompts)
            if isinstance(layers, Embedded)
            else [(k[prompts.to(k.device)], v[prompts.to(v.device)]) for k, v in layers]
        )
        return Prefix(self.ids[prompts], self.mask[prompts], chosen, self.last_hidden[prompts])

    def rows(self, chains: int) -> KeysValues | Embedded:
        """The cache repeated for `chains` rows per prompt, row p · C + c (views where that costs nothing)."""
        if chains == 1:
            return self.layers
        if isinstance(self.layers, Embedded):
            return self.layers.repeat(chains)
        return [(k.repeat_interleave(chains, 0), v.repeat_interleave(chains, 0)) for k, v in self.layers]

    def rows_at(self, chains: int, part: slice) -> Prefix:
        """A prefix with a row of its own for each of some of the rows p · chains + c."""
        every = torch.arange(len(self.mask), device=self.mask.device).repeat_interleave(chains)
        chosen = every[part]
        if len(chosen) < len(every):
            return self.select(chosen)
        if chains == 1:
            return self
        return Prefix(self.ids[every], self.mask[every], self.rows(chains), self.last_hidden[every])


class _BufferedLayer(DynamicLayer):
    """A cache layer with room for the tokens to come, so that a decode step copies one token and not the whole past.

    Args:
        buffers: keys and values.
        length: how many of their places are filled.
    """

    def __init__(self, buffers: Sequence[Tensor], length: int) -> None:
        super().__init__()
        self.device, self.dtype, self.is_initialized = buffers[0].device, buffers[0].dtype, True
        self.length, self._buffers = length, [*buffers]
        self._publish()

    @classmethod
    def after(cls, keys: Tensor, values: Tensor, room: int) -> _BufferedLayer:
        """A copy of keys and values with room for more."""
        wider = [torch.cat([t, t.new_empty((*t.shape[:-2], room, t.shape[-1]))], dim=-2) for t in (keys, values)]
        return cls(wider, keys.shape[-2])

    def rows(self, part: slice) -> _BufferedLayer:
        """Some of its rows, in the same memory."""
        return _BufferedLayer([buffer[part] for buffer in self._buffers], self.length)

    def grow(self, tokens: int) -> None:
        """Count places that were filled through `rows`."""
        self.length += tokens
        self._publish()

    def _publish(self) -> tuple[Tensor, Tensor]:
        keys, values = (b[..., : self.length, :] for b in self._buffers)
        self.keys, self.values = keys, values
        return keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        stop = self.length + key_states.shape[-2]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., self.length : stop, :] = new
        self.length = stop
        return self._publish()

    def crop(self, max_length: int) -> None:
        self.length = min(self.length, max_length)
        self._publish()

    def keep_rows(self, rows: Int[Tensor, " n"]) -> None:
        self._buffers = [b[rows.to(b.device)] for b in self._buffers]
        self._publish()


def growing_cache(layers: KeysValues | Embedded) -> OpenCache:
    """A cache that can be differentiated through: it grows by concatenation and leaves `layers` as they are."""
    if isinstance(layers, Embedded):
        return RereadCache(layers)
    cache = DynamicCache()
    cache.layers = []
    for keys, values in layers:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def buffered_cache(layers: KeysValues | Embedded, room: int) -> OpenCache:
    """A cache for decoding `room` more tokens without gradients; `layers` are copied, not changed."""
    if isinstance(layers, Embedded):
        return RereadCache(layers)
    cache = DynamicCache()
    cache.layers = [_BufferedLayer.after(k, v, room) for k, v in layers]
    return cache


def rows_of_cache(cache: DynamicCache, part: slice) -> DynamicCache:
    """Some rows of a buffered cache, in the same memory: what a pass over them appends, `grow_cache` counts."""
    some = DynamicCache()
    some.layers = [layer.rows(part) for layer in _open_layers(cache)]
    return some


def grow_cache(cache: DynamicCache, tokens: int) -> None:
    """Count tokens that passes over all rows of a buffered cache have appended, some rows after the other."""
    for layer in _open_layers(cache):
        layer.grow(tokens)


def is_buffered(cache: OpenCache | None) -> TypeGuard[DynamicCache]:
    """Whether it is a cache that `buffered_cache` has made of keys and values."""
    return isinstance(cache, DynamicCache) and any(isinstance(layer, _BufferedLayer) for layer in cache.layers)


def extend_cache(cache: OpenCache, layers: KeysValues, length: int) -> None:
    """Append the first `length` places of known keys and values to the cache."""
    for layer, (keys, values) in zip(_open_layers(cache), layers, strict=True):
        layer.update(keys[..., :length, :], values[..., :length, :])


def keep_rows(cache: OpenCache, rows: Int[Tensor, " n"]) -> None:
    """Drop the other rows of a buffered cache."""
    if isinstance(cache, RereadCache):
        cache.keep_rows(rows)
        return
    for layer in _open_layers(cache):
        layer.keep_rows(rows)


def take_rows(layers: KeysValues, rows: Int[Tensor, "*groups m"], n: int) -> KeysValues:
    """Keys and values of some rows of each group.

    Args:
        layers: with n rows for each group, one group after the other.
        rows: which of the n, for each group.
        n: rows of a group.
    """
    groups = torch.arange(rows[..., 0].numel(), device=rows.device)
    flat = (rows + n * groups.view(*rows.shape[:-1], 1)).flatten()
    return [(keys[flat.to(keys.device)], values[flat.to(values.device)]) for keys, values in layers]


def join_rows(parts: Sequence[KeysValues]) -> KeysValues:
    """Keys and values of the rows of several parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return [(torch.cat([k for k, _ in layer]), torch.cat([v for _, v in layer])) for layer in zip(*parts, strict=True)]


def crop_cache(cache: OpenCache, length: int) -> None:
    """Drop the positions of a buffered cache beyond `length`, without a copy."""
    if isinstance(cache, RereadCache):
        cache.crop(length)
        return
    for layer in _open_layers(cache):
        layer.crop(length)


def read_cache(cache: OpenCache, start: int, stop: int) -> KeysValues:
    """Keys and values of positions start … stop − 1 (copies: the cache may go on growing)."""
    return [(y.keys[..., start:stop, :].clone(), y.values[..., start:stop, :].clone()) for y in _open_layers(cache)]


def _open_layers(cache: OpenCache) -> list[Any]:
    """The layers of one of our caches; transformers' own type allows for kinds without keys and values."""
    return [] if isinstance(cache, RereadCache) else cast("list[Any]", cache.layers)
