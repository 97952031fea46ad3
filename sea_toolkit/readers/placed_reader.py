"""A language model that reads whole texts in which a run's answers stand, and may be differentiated by their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.readers.piece_alignment import PieceAlignment, moved, texts_of
from sea_toolkit.readers.placed_text import Ids, PlacedAnswer, PlacedText

_ANSWERS = ("a", " The", "1")
"""Answers whose whole texts have the tokens in common that stand before any answer."""


@dataclass(frozen=True)
class Rows:
    """N whole texts, ready to be read.

    Attributes:
        ids: of each whole text; empty for one that cannot be read.
        prompts: the place of each text's prompt in the run.
        embeds: of what stands behind the beginning that is read once.
        mask: where there is a token.
        begun: tokens of the beginning.
        prefix: its cache, or None.
        placed: the same ids, and what they write of the answer; None for relaxed answers between other tokens.
        shares: of each token of the whole text, what each position of the response writes of it; None for texts.
    """

    ids: list[Ids]
    prompts: list[int]
    embeds: Float[Tensor, "N S D"]
    mask: Bool[Tensor, "N S"]
    begun: list[int]
    prefix: Prefix | None
    placed: Sequence[PlacedAnswer | None] | None = None
    shares: Float[Tensor, "N L T"] | None = None

    @property
    def unread(self) -> Bool[Tensor, " N"]:
        """The texts without a value."""
        return torch.tensor([not ids for ids in self.ids], device=self.mask.device)


class PlacedReader:
    """Final hidden states of a decoder for whole texts.

    The tokens that all texts of a prompt begin with are run once.

    Args:
        backbone: the decoder.
        shown: from prompt and answer to its text.
        alignment: from the policy's tokens to its own.
        prompts: P prompts of the run.
    """

    def __init__(
        self, backbone: Backbone, shown: PlacedText, alignment: PieceAlignment, prompts: Sequence[str]
    ) -> None:
        self.backbone, self.shown, self.alignment, self.prompts = backbone, shown, alignment, list(prompts)
        self.beginnings = [self._beginning(prompt) for prompt in self.prompts]
        self.prefix = backbone.prefix(self.beginnings) if all(self.beginnings) else None

    def straight(self, response: SoftResponse, frames: Sequence[tuple[Ids, Ids]]) -> Rows:
        """Relaxed responses in the model's own tokens, between the tokens before and after them.

        Args:
            response: P × C of them.
            frames: see `PlacedText.frames`.
        """
        device, c = self.backbone.weight.device, response.shape[1]
        content, ids = (response.content > 0.5).flatten(0, 1), response.ids.flatten(0, 1)
        prompts = [n // c for n in range(len(ids))]
        befores, after = [frames[p][0] for p in prompts], frames[0][1]
        if self.shown.limit is not None:
            room = self.shown.limit - len(after) - torch.tensor([len(before) for before in befores], device=device)
            fits = content.cumsum(-1) <= room[:, None]
        else:
            fits = torch.ones_like(content)
        wholes = [
            [*before, *row[read].tolist(), *after] if bool(fit.all()) else []
            for before, row, read, fit in zip(befores, ids, content, fits, strict=True)
        ]
        begun, prefix = self._begun(wholes, prompts)
        head, shown = self._padded([before[start:] for before, start in zip(befores, begun, strict=True)])
        tail, _ = self._padded([after] * len(ids))
        middle = response.embed(self.alignment.table).flatten(0, 1)
        ones = torch.ones(len(ids), len(after), dtype=torch.bool, device=device)
        mask = torch.cat([shown, content & fits, ones], 1)
        return Rows(wholes, prompts, torch.cat([head, middle, tail], 1), mask, begun, prefix)

    def aligned(self, response: SoftResponse) -> Rows:
        """The whole texts of responses, whose pieces follow what the policy's tokens become."""
        c = response.shape[1]
        texts, prompts = (
            texts_of(response, self.alignment.policy),
            [prompt for prompt in self.prompts for _ in range(c)],
        )
        change = self.alignment.change(response)
        if change is None:
            return self.texts(prompts, texts)
        placed = [self.shown.placed(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        shares = self.alignment.shares(response, texts, placed)
        embeds, mask = moved(placed, shares, change, self.backbone.embedding)
        return replace(self._rows(placed, embeds, mask, [n // c for n in range(len(texts))]), shares=shares)

    def texts(self, prompts: Sequence[str], texts: Sequence[str]) -> Rows:
        """The whole texts of N answers to prompts of the run."""
        placed = [self.shown.placed(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        embeds, mask = self._padded([[0] if answer is None else answer.ids for answer in placed])
        index = {prompt: i for i, prompt in enumerate(self.prompts)}
        return self._rows(placed, embeds, mask, [index[prompt] for prompt in prompts])

    def states(self, rows: Rows, tails: Sequence[Sequence[int]] = ((),)) -> Float[Tensor, "N K n H"]:
        """Final hidden states of what stands behind the beginnings, with each of K tails behind it.

        Args:
            rows: N texts.
            tails: K strings of token ids; shorter ones are padded.
        """
        longest = max(map(len, tails))
        n, device = len(rows.ids), rows.mask.device
        embeds, mask = (
            rows.embeds[:, None].expand(-1, len(tails), -1, -1),
            rows.mask[:, None].expand(-1, len(tails), -1),
        )
        if longest:
            ids = torch.tensor([[*tail, *[0] * (longest - len(tail))] for tail in tails], device=device)
            behind = self.backbone.embedding(ids).expand(n, -1, -1, -1)
            seen = torch.tensor([[i < len(tail) for i in range(longest)] for tail in tails], device=device)
            embeds, mask = torch.cat([embeds, behind], 2), torch.cat([mask, seen.expand(n, -1, -1)], 2)
        return self.backbone.hidden(rows.prefix, embeds, mask)

    def _rows(self, placed: Sequence[PlacedAnswer | None], embeds: Tensor, mask: Tensor, prompts: list[int]) -> Rows:
        ids = [[] if answer is None else answer.ids for answer in placed]
        begun, prefix = self._begun(ids, prompts)
        if prefix is None:
            return Rows(ids, prompts, embeds, mask, begun, None, placed)
        width = max(1, *(len(row) - start for row, start in zip(ids, begun, strict=True)))
        places = torch.tensor(begun, device=mask.device)[:, None] + torch.arange(width, device=mask.device)
        inside = places < mask.shape[1]
        places = places.clamp(max=mask.shape[1] - 1)
        embeds = embeds.gather(1, places[..., None].expand(-1, -1, embeds.shape[-1]))
        return Rows(ids, prompts, embeds, mask.gather(1, places) & inside, begun, prefix, placed)

    def _begun(self, ids: Sequence[Ids], prompts: Sequence[int]) -> tuple[list[int], Prefix | None]:
        """How many tokens of each text its prompt's beginning holds, and its cache; 0 where one text begins
        otherwise."""
        starts = [self.beginnings[p] if row else [] for p, row in zip(prompts, ids, strict=True)]
        fits = all(
            row[: len(start)] == start and len(row) >= len(start) for row, start in zip(ids, starts, strict=True)
        )
        if self.prefix is None or not fits:
            return [0] * len(ids), None
        chosen: Int[Tensor, " N"] = torch.tensor(list(prompts), device=self.prefix.mask.device)
        return [len(start) for start in starts], self.prefix.select(chosen)

    def _padded(self, ids: Sequence[Ids]) -> tuple[Float[Tensor, "N S D"], Bool[Tensor, "N S"]]:
        """Embeddings of N rows of tokens, padded on the right, and where there is one."""
        width, device = max(map(len, ids)), self.backbone.weight.device
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=device, dtype=torch.long)
        lengths = torch.tensor([len(row) for row in ids], device=device)
        return self.backbone.embedding(padded), torch.arange(width, device=device) < lengths[:, None]

    def _beginning(self, prompt: str) -> Ids:
        """The tokens that whole texts of a prompt have in common, without the last one, which predicts the answer."""
        wholes = [self.shown.ids(prompt, answer) or [] for answer in _ANSWERS]
        common = 0
        while all(common < len(whole) and whole[common] == wholes[0][common] for whole in wholes):
            common += 1
        return wholes[0][: max(0, common - 1)]
