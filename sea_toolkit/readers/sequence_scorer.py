"""The outputs of a sequence classifier for a run's responses: of texts as wholes, of relaxed ones token by token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, fit_rows
from sea_toolkit.lm.devices import Placement
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.positions import cut_answers, usable_positions
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.make_bridge import bridged_scorer
from sea_toolkit.readers.placed_text import Ids
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import Reading, ShownText

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
        self.prefix = reader.backbone.prefix(self.before) if reader.is_decoder and self.before[0] else None
        self._furthest = DIFFERENCE

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        wholes = self._wholes(response)
        p, c = response.shape[:2]
        if len(wholes) == p * c and not (torch.is_grad_enabled() and response.embed(self.table).requires_grad):
            return self.reader.ids(list(wholes.values())).unflatten(0, (p, c))
        outputs = self._piecewise(response)
        if not wholes:
            return outputs
        places = tuple(torch.tensor(list(wholes), device=outputs.device).T)
        pieces, whole = outputs[places], self.reader.ids(list(wholes.values()))
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
        outputs = self.reader.read(embeds, mask, self.before, self.prefix)
        return outputs if self.shown.truncate else outputs.masked_fill(cut[..., None], torch.nan)

    def _wholes(self, response: SoftResponse) -> dict[tuple[int, int], Ids | None]:
        """For each text whose tokens as a whole differ from those of the pieces: prompt and chain, and those tokens."""
        if response.texts is None:
            return {}
        counts, ids, wholes = (response.content > 0.5).sum(-1).tolist(), response.ids.tolist(), {}
        for p, row in enumerate(response.texts):
            for c, text in enumerate(row):
                whole = self.shown.ids(self.prompts[p], text)
                if whole != [*self.before[p], *ids[p][c][: counts[p][c]], *self.after]:
                    wholes[p, c] = whole
        return wholes

    def _note(self, difference: float) -> None:
        if difference > self._furthest:
            self._furthest = difference
            self.warnings[:] = [
                f"{self.shown.name} reads answers as part of the whole text; the gradient is that of their tokens by "
                f"themselves, whose value was up to {difference:.2g} away"
            ]


def sequence_scorer(
    source: Path | str,
    name: str,
    context: Context,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    batch: int | None = None,
) -> ResponseScorer:
    """The scorer of a classifier, shared by the energies of a run: its weights are read once, and it runs once for each
    response. One with other tokens than the policy's is read through a bridge.

    Raises:
        ModelError: unreadable weights.
        RecipeError: prompt and answer are too long for the model, or there is no such device.
    """
    policy, place = context.policy, Placement.beside(context.policy, device, dtype)
    # made before the model's tokens are counted: its trial does not belong to a run's cost, nor does that of a bridge
    reader = classifier_reader(
        source, name, context.finder, place, reads=reads, truncate=truncate, template_options=template_options,
        batch=batch,
    )  # fmt: skip
    bridged = None if same_vocabulary(reader.shown.tokenizer, policy.tokenizer) else bridged_scorer(reader, context)
    key = ("sequence scorer", reader)
    # a second energy shares the scores of texts at no cost; the passes that it differentiates are counted
    context.use_model(f"reward:{name}", reader.model, flops_per_token=0.0 if key in context.models else None)
    return context.load_once(key, lambda: SequenceScorer(reader, context) if bridged is None else bridged)


def classifier_reader(
    source: Path | str,
    name: str,
    finder: ModelFinder,
    place: Placement,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    batch: int | None = None,
) -> ClassifierReader:
    """The reader of a classifier, made once for all runs of a session.

    Raises:
        ModelError: unreadable weights.
    """

    def load() -> tuple[Any, Any]:
        return load_classifier(source, place, name, trust_remote_code=finder.trust_remote_code)

    model, tokenizer = finder.load_once(("classifier", source, place), load)
    shown = ShownText(
        tokenizer, name, reads, limit=usable_positions(model), truncate=truncate, template_options=template_options
    )
    options = repr(sorted((template_options or {}).items()))
    key = ("classifier reader", source, place, shown.reads, truncate, options, batch, name)
    return finder.load_once(key, lambda: ClassifierReader(model, shown, batch))
