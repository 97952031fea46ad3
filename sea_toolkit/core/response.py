"""A response as energies see it: token distributions over a few candidates, hard ids, and survival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.gradient_taps import GradientTaps
from sea_toolkit.core.weighted_bag import weighted_bag


def fit_rows(table: Float[Tensor, "rows D"], size: int) -> Float[Tensor, "size D"]:
    """A table with one row for each of `size` ids: rows of padding are left out, missing ones are zeros."""
    if len(table) >= size:
        return table if len(table) == size else table[:size]
    return torch.nn.functional.pad(table, (0, 0, 0, size - len(table)))


def survival(p_eos: Float[Tensor, "P C T"]) -> Float[Tensor, "P C T"]:
    """Probability that a position is part of the response: no end of text before it (`Π_{s<t} (1 − p_s(EOS))`)."""
    ahead = torch.nn.functional.pad(1.0 - p_eos[..., :-1], (1, 0), value=1.0)
    return ahead.cumprod(-1)


@dataclass(frozen=True)
class SoftResponse:
    """P × C responses of T positions, each position a distribution over K candidate tokens.

    Read it through `embed`, `probability`, `overlap`, `counts`, `alive`, `content` and `expected_length`. Each is
    linear in the token distributions (`overlap`: in those of two positions) or is survival under them, so gradients
    reach both relaxed logits and `GradientTaps`.

    Attributes:
        weights: `[P, C, T, K]`, each row sums to one.
        candidates: token ids `[P, C, T, K]`, or None when K is the whole vocabulary.
        ids: `[P, C, T]`, the most probable token of each position.
        alive: `[P, C, T]`, survival: the probability that the text has not ended before the position. It is 1 at the
            end-of-text token of a hard response, and 0 after it.
        eos_ids: the tokens that end a text.
        texts: P × C texts, of responses that were made from them; a reader with a tokenizer of its own reads these.
        log_prob: `[P, C]`, Σ log π of hard responses where the run knows it, NaN elsewhere.
    """

    weights: Float[Tensor, "P C T K"]
    candidates: Int[Tensor, "P C T K"] | None
    ids: Int[Tensor, "P C T"]
    alive: Float[Tensor, "P C T"]
    eos_ids: tuple[int, ...]
    taps: GradientTaps | None = field(default=None, repr=False)
    texts: Sequence[Sequence[str]] | None = field(default=None, repr=False)
    log_prob: Float[Tensor, "P C"] | None = field(default=None, repr=False)

    @classmethod
    def from_weights(
        cls,
        weights: Float[Tensor, "P C T K"],
        candidates: Int[Tensor, "P C T K"] | None,
        eos_ids: Sequence[int],
    ) -> SoftResponse:
        """A relaxed response; `ids` is the argmax, `alive` follows from the weight on the end-of-text tokens."""
        top = weights.detach().argmax(-1, keepdim=True)
        ids = (top if candidates is None else candidates.gather(-1, top)).squeeze(-1)
        draft = cls(weights, candidates, ids, torch.ones_like(weights[..., 0]), tuple(eos_ids))
        return replace(draft, alive=survival(draft.probability(draft.eos_ids).sum(-1)))

    @classmethod
    def from_ids(
        cls, ids: Int[Tensor, "P C T"], eos_ids: Sequence[int], mask: Bool[Tensor, "P C T"] | None = None
    ) -> SoftResponse:
        """A hard response: one candidate per position with weight one.

        Args:
            ids: token ids; what follows the first end of text (or lies outside `mask`) is ignored.
            eos_ids: the tokens that end a text.
            mask: true where there is a token, for rows padded on the right without an end of text.
        """
        alive = survival(is_any(ids, eos_ids).float())
        if mask is not None:
            alive = alive * mask
        ones = torch.ones_like(alive).unsqueeze(-1)
        return cls(ones, ids.unsqueeze(-1), ids, alive, tuple(eos_ids))

    @property
    def shape(self) -> tuple[int, int, int]:
        """P, C, T."""
        p, c, t = self.ids.shape
        return p, c, t

    def probability(self, token_ids: Sequence[int]) -> Float[Tensor, "P C T N"]:
        """Probability of each of the N given tokens at each position."""
        wanted = torch.as_tensor(list(token_ids), device=self.weights.device, dtype=torch.long)
        if self.candidates is None:
            probability = self.weights[..., wanted]
        else:
            hit = self.candidates.unsqueeze(-1) == wanted
            probability = torch.einsum("pctk,pctkn->pctn", self.weights, hit.to(self.weights.dtype))
        return probability if self.taps is None else self.taps.on_tokens(probability, wanted)

    def overlap(self) -> Float[Tensor, "P C T T"]:
        """Probability that two positions hold the same token, for tokens drawn independently: `Σ_v p_s(v) p_t(v)`.

        End-of-text tokens are excluded. Ignore the diagonal.
        """
        p, c, t = self.shape
        if self.candidates is None:
            names = torch.arange(self.weights.shape[-1], device=self.weights.device).expand(p, c, -1)
            weights = self.weights
        else:
            names = self.candidates.flatten(2).sort(-1).values  # a token's first place is its column
            place = torch.searchsorted(names, self.candidates.flatten(2)).unflatten(-1, (t, -1))
            weights = self.weights.new_zeros(p, c, t, names.shape[-1]).scatter_add(-1, place, self.weights)
        if self.taps is not None:
            weights = self.taps.on_own_tokens(weights, names)
        weights = weights * ~is_any(names, self.eos_ids).unsqueeze(2)
        return torch.einsum("pcsn,pctn->pcst", weights, weights)

    def counts(self) -> Float[Tensor, "P C U"]:
        """Expected number of times that each token is in the text; end-of-text tokens are excluded.

        The U columns are the tokens that any chain of the prompt may hold, in the same order for all its chains.
        """
        p, c, t = self.shape
        if self.candidates is None:
            names = torch.arange(self.weights.shape[-1], device=self.weights.device).expand(p, -1)
            counts = torch.einsum("pctk,pct->pck", self.weights, self.alive)
        else:
            names = self.candidates.flatten(1).sort(-1).values  # a token's first place is its column
            place = torch.searchsorted(names, self.candidates.flatten(1)).unflatten(-1, (c, -1))
            held = (self.weights * self.alive.unsqueeze(-1)).flatten(2)
            counts = held.new_zeros(p, c, names.shape[-1]).scatter_add(-1, place, held)
        if self.taps is not None:
            leaf = self.taps.on_own_tokens(
                counts.new_zeros(p, c, t, names.shape[-1]), names.unsqueeze(1).expand(p, c, -1)
            )
            counts = counts + torch.einsum("pctn,pct->pcn", leaf, self.alive)
        return counts * ~is_any(names, self.eos_ids).unsqueeze(1)

    def embed(self, table: Float[Tensor, "V D"]) -> Float[Tensor, "P C T D"]:
        """Expected embedding at each position, in the table's dtype; a one-hot position gives the token's row."""
        weights = self.weights.to(table.dtype)
        if self.candidates is None:
            rows = min(weights.shape[-1], len(table))
            mixed = weights[..., :rows] @ table[:rows]
        elif self.candidates.shape[-1] == 1 and not weights.requires_grad:
            mixed = torch.nn.functional.embedding(self.ids, table)
        else:
            k = self.candidates.shape[-1]
            mixed = weighted_bag(self.candidates.reshape(-1, k), table, weights.reshape(-1, k)).unflatten(0, self.shape)
        return mixed if self.taps is None else self.taps.on_embedding(mixed, table)

    def prepend(self, ids: Int[Tensor, " L"]) -> SoftResponse:
        """The same response with the given tokens in front; none of them may end the text."""
        p, c, _ = self.shape
        k = self.weights.shape[-1]
        first = ids.expand(p, c, -1)
        if self.candidates is None:
            weights, candidates = torch.nn.functional.one_hot(first, k).to(self.weights.dtype), None
        else:
            weights = torch.zeros((*first.shape, k), dtype=self.weights.dtype, device=ids.device)
            weights[..., 0] = 1.0
            # the other candidates have no weight, so that it does not matter which they are
            candidates = torch.cat([first[..., None].expand(-1, -1, -1, k), self.candidates], 2)
        alive = torch.nn.functional.pad(self.alive, (len(ids), 0), value=1.0)
        return replace(
            self,
            weights=torch.cat([weights, self.weights], 2),
            candidates=candidates,
            ids=torch.cat([first, self.ids], 2),
            alive=alive,
        )

    @property
    def content(self) -> Float[Tensor, "P C T"]:
        """Survival of what a person reads: `alive · (1 − p_t(EOS))`, which is 0 at the end-of-text token itself."""
        return self.alive * (1.0 - self.probability(self.eos_ids).sum(-1))

    def expected_length(self) -> Float[Tensor, "P C"]:
        """Expected number of tokens, the end-of-text token included."""
        return self.alive.sum(-1)

    def with_gradient_taps(self) -> SoftResponse:
        """The same response, prepared to give an energy's gradient with respect to every token's probability."""
        taps = GradientTaps()
        fresh = replace(self, taps=taps)
        # survival again, so that the end of text is tapped as well; padding outside the text stays out
        p_eos = fresh.probability(self.eos_ids).sum(-1)
        return replace(fresh, alive=survival(p_eos) * (self.alive.detach() > 0))


def is_any(ids: Int[Tensor, "*shape"], wanted: Sequence[int]) -> Bool[Tensor, "*shape"]:
    """Where `ids` is one of the wanted tokens."""
    return torch.isin(ids, torch.as_tensor(list(wanted), device=ids.device, dtype=ids.dtype))


def after_end(ids: Int[Tensor, "*rows T"], eos_ids: Sequence[int]) -> Bool[Tensor, "*rows T"]:
    """Mask of the positions after a row's first end-of-text token: what stands there is not part of the response."""
    ends = is_any(ids, eos_ids).long()
    return ends.cumsum(-1) - ends > 0
