"""The gradient of an energy with respect to the probability of every token, in factored form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.ranks import same


class GradientTaps:
    """Zero perturbations added to what an energy reads, so that one backward pass gives the energy's gradient with
    respect to the probability of *every* token of the vocabulary, though the response names only K candidates.

    An energy that reads the response through `embed` and `probability` is linear in these readings of `p_t(·)`;
    so `∂E/∂p_t(v) = Σ_tables ⟨∂E/∂e_t, table[v]⟩ + Σ_tokens [v = token] ∂E/∂p_t(token)`. The tokens are the same for
    all chains, or each chain's own (`overlap`).
    """

    def __init__(self) -> None:
        self.tables: dict[int, tuple[Tensor, Tensor]] = {}
        self.tokens: list[tuple[Tensor, Tensor]] = []
        self.own: list[tuple[Tensor, Tensor]] = []

    def on_embedding(self, value: Tensor, table: Tensor) -> Tensor:
        key = id(table)
        if key not in self.tables:
            self.tables[key] = (table, torch.zeros_like(value, requires_grad=True))
        return value + self.tables[key][1]

    def on_tokens(self, value: Tensor, wanted: Tensor) -> Tensor:
        for known, leaf in self.tokens:
            if known.shape == wanted.shape and bool((known == wanted).all()):
                return value + leaf
        leaf = torch.zeros_like(value, requires_grad=True)
        self.tokens.append((wanted, leaf))
        return value + leaf

    def on_own_tokens(self, value: Tensor, names: Tensor) -> Tensor:
        for known, leaf in self.own:
            if known.shape == names.shape and bool((known == names).all()):
                return value + leaf
        leaf = torch.zeros_like(value, requires_grad=True)
        self.own.append((names, leaf))
        return value + leaf

    def gradient(self, total: Float[Tensor, ""], *, keep_graph: bool = False) -> TokenGradient:
        """The gradient of a scalar, in the readings that it depends on; zeros in all of them if there is none.

        Args:
            total: the scalar.
            keep_graph: another scalar of the same graph follows.
        """
        entries = [*self.tables.values(), *self.tokens, *self.own]
        leaves = [leaf for _, leaf in entries]
        if not total.requires_grad:
            grads: list[Tensor] = [torch.zeros_like(leaf) for leaf in leaves]
        else:
            gradients = torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=keep_graph)
            unread = all(g is None for g in gradients)
            grads = [torch.zeros_like(leaf) if unread else g for g, leaf in zip(gradients, leaves, strict=True)]
        pairs = [(key, None if g is None else same(g)) for (key, _), g in zip(entries, grads, strict=True)]
        n, m = len(self.tables), len(self.tables) + len(self.tokens)
        parts = (pairs[:n], pairs[n:m], pairs[m:])
        return TokenGradient(*([(key, g) for key, g in part if g is not None] for part in parts))


@dataclass
class TokenGradient:
    """Gradient of an energy with respect to token probabilities, kept in factored form (`[P, C, T, D]`, never V).

    Attributes:
        tables: pairs of an embedding table `[V, D]` and the gradient `[P, C, T, D]` of what was read through it.
        tokens: pairs of token ids `[N]` and the gradient `[P, C, T, N]` of their probabilities.
        own: pairs of each chain's own token ids `[P, C, N]` and the gradient `[P, C, T, N]` of their probabilities.
    """

    tables: list[tuple[Tensor, Tensor]]
    tokens: list[tuple[Tensor, Tensor]]
    own: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def grads(self) -> list[Tensor]:
        """Of all readings, `[P, C, T, *]`."""
        return [g for _, g in [*self.tables, *self.tokens, *self.own]]

    def over_vocabulary(self, position: int, size: int) -> Float[Tensor, "P C V"]:
        """`∂E/∂p_t(v)` at one position for each of the `size` tokens of the vocabulary, float32."""
        first = self.grads[0]
        total = first.new_zeros((*first.shape[:2], size), dtype=torch.float32)
        for table, grad in self.tables:
            rows = min(size, len(table))  # a model's table may have rows for ids that are no tokens, or lack some
            total[..., :rows] += grad[:, :, position].to(table.dtype) @ table[:rows].T
        for wanted, grad in self.tokens:
            total = total.index_add(-1, wanted, grad[:, :, position].float())
        for names, grad in self.own:
            total = total.scatter_add(-1, names, grad[:, :, position].float())
        return total

    def within(self, length: Float[Tensor, "P C"]) -> TokenGradient:
        """The same with 0 at the positions after the first `length`, which are not part of the text."""

        def kept(grad: Tensor) -> Tensor:
            outside = torch.arange(grad.shape[2], device=grad.device) >= length[..., None]
            return grad.masked_fill(outside[..., None], 0.0)

        return self._each(kept)

    def mean(self, length: Float[Tensor, "P C"]) -> TokenGradient:
        """The mean over the first `length` positions, as one position."""
        parts = self.within(length)
        return parts._each(lambda grad: grad.sum(2, keepdim=True) / length.clamp(min=1)[..., None, None])

    def without(self, chains: Bool[Tensor, "P C"]) -> TokenGradient:
        """The same with 0 for these chains."""
        return self._each(lambda grad: grad.masked_fill(chains[..., None, None], 0.0))

    def _each(self, change: Callable[[Tensor], Tensor]) -> TokenGradient:
        parts = ([(which, change(grad)) for which, grad in part] for part in (self.tables, self.tokens, self.own))
        return TokenGradient(*parts)
