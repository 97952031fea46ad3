"""The outputs of a sequence classifier for a run's responses: of texts as wholes, of relaxed ones token by token."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, fit_rows
from sea_toolkit.lm.positions import cut_answers
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.beside import Beside
from sea_toolkit.readers.placed_text import Row
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader

DIFFERENCE = 1e-4
"""Smallest difference between two readings of one text that is reported."""


class SequenceScorer(ResponseScorer):
    """Outputs `[P, C, L]` of a sequence classifier that has the policy's tokens.

    A relaxed response is read between the tokens before and after it; those before it are run once. A text is read as a
    whole, exactly as the model's user would give it: where that has other tokens, its value is that of the whole, and
    its gradient that of the tokens one by one.

    Args:
        reader: of texts.
        context: of the run.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """

    def __init__(self, reader: ClassifierReader, context: Context) -> None:
        super().__init__(reader, context)
        # beside the policy, where its gradient is read
        self.table = fit_rows(reader.table, context.policy.vocab_size).to(context.policy.device)
        frames = self.shown.frames(self.prompts, context.length)
        self.before, self.after = [before for before, _ in frames], frames[0][1]
        self._beside = reader.beside([Row(before) for before in self.before])
        self.prefix = reader.backbone.prefix(self.before) if reader.is_decoder and self.before[0] else None
        self._furthest, self._told = DIFFERENCE, ""

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        wholes = self._wholes(response)
        p, c = response.shape[:2]
        if len(wholes) == p * c and not (torch.is_grad_enabled() and response.embed(self.table).requires_grad):
            return self.reader.rows(list(wholes.values())).unflatten(0, (p, c))
        outputs = self._piecewise(response)
        if not wholes:
            return outputs
        places = tuple(torch.tensor(list(wholes), device=outputs.device).T)
        pieces, whole = outputs[places], self.reader.rows(list(wholes.values()))
        self._note(float((whole - pieces.detach()).abs().nan_to_num(0.0).max()))
        # the value of the whole, with the gradient of the pieces
        return outputs.index_put(places, pieces + (whole - pieces).detach())

    def _piecewise(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """Read the response's own tokens between the tokens before and after it."""
        around = max(map(len, self.before)) + len(self.after)
        rows, mask = response.embed(self.table), response.content > 0.5
        (embeds,), mask, cut = cut_answers([rows], mask, around, self.shown.limit)
        embeds, mask, cut = (part.to(self.reader.table.device) for part in (embeds, mask, cut))
        if self.after:
            tail = self.reader.embedding(torch.tensor(self.after, device=embeds.device, dtype=torch.long))
            embeds = torch.cat([embeds, tail.expand(*embeds.shape[:2], -1, -1)], 2)
            mask = torch.nn.functional.pad(mask, (0, len(self.after)), value=True)
        outputs = self.reader.read(embeds, mask, self.before, self.prefix, self._read_beside(embeds))
        return outputs if self.shown.truncate else outputs.masked_fill(cut[..., None], torch.nan)

    def _read_beside(self, embeds: Float[Tensor, "P C T D"]) -> Beside:
        """Token types of the answer and what follows it, and the gates of each prompt."""
        types, gates = self.shown.answer_types, self._beside.gates
        after = [] if not types else [types[0]] * (embeds.shape[2] - len(types) + 1) + [*types[1:]]
        return Beside(
            types=torch.tensor(after, device=embeds.device).expand(*embeds.shape[:2], -1) if after else None,
            gates=None if gates is None else gates[0][:, None].expand(*embeds.shape[:2], -1),
        )

    def _wholes(self, response: SoftResponse) -> dict[tuple[int, int], Row | None]:
        """For each text whose tokens as a whole differ from those of the pieces: prompt and chain, and those tokens."""
        if response.texts is None:
            return {}
        counts, ids, wholes = (response.content > 0.5).sum(-1).tolist(), response.ids.tolist(), {}
        for p, row in enumerate(response.texts):
            for c, text in enumerate(row):
                whole = self.shown.row(self.prompts[p], text)
                if whole is None or whole.ids != [*self.before[p], *ids[p][c][: counts[p][c]], *self.after]:
                    wholes[p, c] = whole
        return wholes

    def _note(self, difference: float) -> None:
        if difference > self._furthest:
            self._furthest = difference
            if self._told in self.warnings:
                self.warnings.remove(self._told)
            self._told = (
                f"{self.shown.name} reads answers as part of the whole text; the gradient is that of their tokens by "
                f"themselves, whose value was up to {difference:.2g} away"
            )
            self.warnings.append(self._told)
