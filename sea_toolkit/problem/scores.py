"""The results of scoring: energies of responses, and hard responses scored as a person reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.gradient_taps import TokenGradient
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.values import described
from sea_toolkit.lm.kv_cache import KeysValues


@dataclass(frozen=True)
class Energies:
    """Energies of P × C responses.

    Attributes:
        total: `[P, C]`, Σ weight · term.
        terms: label → the unweighted term `[P, C]`.
    """

    total: Float[Tensor, "P C"]
    terms: dict[str, Tensor]

    def values(self) -> Float[Tensor, "P C M"]:
        """The terms in one tensor, for a sampler's state; `Problem.total_energy` adds them up with later weights."""
        return torch.stack(list(self.terms.values()), -1)


@dataclass(frozen=True)
class Scored:
    """Hard responses scored as a person reads them: decoded, tokenized again, every term evaluated on the text.

    Attributes:
        ids: `[P, C, T]` as the sampler had them.
        texts: P × C texts.
        ends: `[P, C]`, the token that ended the text, −1 where it has not ended.
        same: `[P, C]`, whether the text re-tokenizes to the ids it came from.
        length: `[P, C]`, tokens of the re-tokenized text, end of text included.
        nll: `[P, C]`, −log π of the re-tokenized text in nats; NaN if the energy has no reference term.
        energies: the energy's terms and total.
        token_gradients: where asked for, see `Problem.score_as_text`; position t is that of the re-tokenized text.
        violations: label of a limit → `[P, C]`, how far outside of it the text is, in standard deviations of the run's
            first texts; 0 inside.
    """

    ids: Int[Tensor, "P C T"]
    texts: list[list[str]]
    ends: Int[Tensor, "P C"]
    same: Bool[Tensor, "P C"]
    length: Float[Tensor, "P C"]
    nll: Float[Tensor, "P C"]
    energies: Energies
    token_gradients: list[TokenGradient] | None = None
    violations: dict[str, Tensor] = field(default_factory=dict)

    @property
    def finished(self) -> Bool[Tensor, "P C"]:
        """Whether the text ended with an end-of-text token."""
        return self.ends >= 0


@dataclass(frozen=True)
class InitialResponses:
    """Where the chains begin: ids `[P, C, T]`, log π of the tokens (0 after the end) and, where they come for free, the
    keys and values of all but the last."""

    ids: Int[Tensor, "P C T"]
    log_prob: Float[Tensor, "P C T"]
    layers: KeysValues | None = None


def wrong_ids(ids: Any, shape: tuple[int | None, int | None, int | None], vocab_size: int) -> tuple[str, str] | None:
    """What is wrong with token ids that a plugin made: what was got and what was expected, or None.

    Args:
        ids: what is checked.
        shape: of responses; None where any size will do.
        vocab_size: ids go from 0 to one less.
    """
    sizes = ", ".join("n" if size is None else str(size) for size in shape)
    expected = f"int64 ids [P, C, T] = [{sizes}], each from 0 to {vocab_size - 1}"
    if not isinstance(ids, Tensor) or ids.dtype != torch.long or ids.is_meta or ids.ndim != len(shape):
        return described(ids), expected
    if any(want is not None and have != want for have, want in zip(ids.shape, shape, strict=True)):
        return described(ids), expected
    outside = ids[(ids < 0) | (ids >= vocab_size)]
    return (f"ids that are no tokens ({outside.flatten()[:3].tolist()})", expected) if len(outside) else None


def same_rows(a: SoftResponse, b: SoftResponse) -> Bool[Tensor, "P C"]:
    """Which hard responses hold the same tokens."""
    width = max(a.ids.shape[-1], b.ids.shape[-1])
    first, second = (
        torch.nn.functional.pad(r.ids.masked_fill(r.alive <= 0, -1), (0, width - r.ids.shape[-1]), value=-1)
        for r in (a, b)
    )
    return (first == second).all(-1)


def choose_rows(mask: Bool[Tensor, "P C"], a: SoftResponse, b: SoftResponse) -> SoftResponse:
    """The hard responses of `a` where the mask is true, those of `b` elsewhere; as long as the longest that counts."""
    width = max(a.ids.shape[-1], b.ids.shape[-1])
    pairs = []
    for r in (a, b):
        room = (0, width - r.ids.shape[-1])
        pairs.append((torch.nn.functional.pad(r.ids, room), torch.nn.functional.pad(r.alive > 0, room)))
    (ids_a, alive_a), (ids_b, alive_b) = pairs
    ids, alive = torch.where(mask[..., None], ids_a, ids_b), torch.where(mask[..., None], alive_a, alive_b)
    width = max(1, int(alive.sum(-1).max()))
    return SoftResponse.from_ids(ids[..., :width], a.eos_ids, alive[..., :width])
