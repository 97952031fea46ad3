"""How well a bridge tells what a token does to a reward, measured on texts of the policy.

The *effect* of a token is the mean change of the classifier's output when the token is put in the place of another one,
over one random place in each of several texts. Scores of single words and the gradient are compared with it by rank,
and their weights are those of a regression on it (not negative). The *ceiling* is what the gradient reaches on the
classifier's own pieces, where there is no bridge: it is of first order there as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.readers.bridge_samples import Samples
from sea_toolkit.readers.fidelity import rank_correlation
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.util.progress import Progress

Outputs = Callable[[Sequence[str]], Callable[[SoftResponse], Tensor]]
"""From P prompts to the outputs `[P, C, L]` of responses."""

TOKENS = 240
"""Tokens whose effect is measured: as many of one piece as of several, where there are so many."""


def chosen_tokens(table: PieceTable) -> tuple[list[int], int]:
    """The tokens that are measured, those of one piece first, and how many these are."""
    pick = random.Random(0)
    single = [i for i, row in enumerate(table.pieces) if len(row) == 1]
    several = [i for i, row in enumerate(table.pieces) if len(row) > 1]
    most = min(len(several), TOKENS // 2)
    first = pick.sample(single, min(len(single), TOKENS - most))
    return first + pick.sample(several, min(len(several), TOKENS - len(first))), len(first)


def token_effects(
    reader: ClassifierReader, policy: Policy, samples: Samples, tokens: Sequence[int], progress: Progress
) -> Float[Tensor, "n L"]:
    """The mean output of the texts that have each of n tokens at their place."""
    total: list[Tensor] = []
    for prompt, row, place in zip(samples.prompts, samples.rows, samples.places, strict=True):
        texts = [policy.decode([*row[:place], token, *row[place + 1 :]]) for token in tokens]
        total.append(reader.texts([prompt] * len(texts), texts))
        progress(len(total), len(samples.rows), f"{reader.shown.name}: what words do in a text (once)")
    return torch.stack(total).nanmean(0)


def token_gradients(
    outputs: Callable[[SoftResponse], Float[Tensor, "P C L"]], samples: Samples, size: int
) -> Float[Tensor, "V L"]:
    """The mean gradient of each output, over positions and texts, with respect to each token's probability."""
    length = samples.response.content.sum(-1)
    columns: list[Tensor] = []
    with torch.enable_grad():
        while True:
            tapped = samples.response.with_gradient_taps()
            values = outputs(tapped)
            assert tapped.taps is not None
            gradient = tapped.taps.gradient(values[..., len(columns)].nansum())
            columns.append(gradient.mean(length).over_vocabulary(0, size).mean((0, 1)))
            if len(columns) == values.shape[-1]:
                return torch.stack(columns, -1)


def own_correlations(reader: ClassifierReader, samples: Samples, policy: Policy, progress: Progress) -> list[float]:
    """For each output, the rank correlation of the gradient with the effects of the classifier's own pieces."""
    shown, pick = reader.shown, random.Random(0)
    special = {*shown.tokenizer.all_special_ids}
    known = [i for i in range(min(len(shown.tokenizer), len(reader.table))) if i not in special]
    tokens = pick.sample(known, min(len(known), TOKENS // 2))
    effects: list[Tensor] = []
    slopes: list[Tensor] = []
    for prompt, row in zip(samples.prompts, samples.rows, strict=True):
        placed = shown.placed(prompt, policy.decode(row))
        own = [] if placed is None else [s for s, (first, last) in enumerate(placed.spans) if last > first]
        if placed is None or not own:
            continue
        place = pick.choice(own)
        swapped = [replace(placed, ids=[*placed.ids[:place], i, *placed.ids[place + 1 :]]) for i in tokens]
        effects.append(reader.rows(swapped))
        ids = torch.tensor([placed.ids], device=reader.table.device)
        embeds = reader.embedding(ids).detach().requires_grad_()
        with torch.enable_grad():
            values = reader.read(embeds[None], torch.ones_like(ids)[None] > 0, beside=reader.beside([placed]))[0, 0]
            rows = [torch.autograd.grad(value, embeds, retain_graph=True)[0] for value in values]
        slopes.append(torch.stack([row[0, own].float().mean(0) for row in rows], -1))
        progress(len(slopes), len(samples.rows), f"{shown.name}: the same for its own tokens (once)")
    if not effects:
        return [0.0] * reader.model.config.num_labels
    mean, gradient = torch.stack(effects).nanmean(0), reader.table[tokens].float() @ torch.stack(slopes).mean(0)
    return [rank_correlation(gradient[:, k], mean[:, k]) for k in range(mean.shape[1])]
