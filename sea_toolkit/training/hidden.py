"""A head with one hidden layer, stopped where it no longer gets better on validation data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sea_toolkit.readers.probe_head import HiddenLayer, ProbeHead, fold
from sea_toolkit.training.part import Part, mean_loss

BATCH, RATE, PATIENCE, LONGEST = 64, 3e-3, 8, 200
"""Rows of a step, the rate of Adam (Kingma & Ba 2015), epochs without a lower validation loss, and most epochs."""


class HiddenFit(NamedTuple):
    """A fitted head, its least validation loss, and the epoch that reached it."""

    head: ProbeHead
    loss: float
    epochs: int


def fit_hidden(train: Part, validation: Part, width: int, strength: float, seed: int) -> HiddenFit:
    """Minimize `mean log loss + λ/2 · (|W|² + |w|²)` on standardized features with Adam, from random weights.

    The head of the epoch with the least validation loss is kept, so validation data take part in the choice of the
    number of epochs, and training data alone in the weights.

    Args:
        train: features and labels, or pairs.
        validation: the same of other rows.
        width: of the hidden layer.
        strength: λ.
        seed: of the first weights and of the order of the rows.
    """
    everything = train.everything
    mean, std = everything.mean(0), everything.std(0).clamp(min=1e-6)
    train, validation = train.scaled(mean, std), validation.scaled(mean, std)
    generator = torch.Generator().manual_seed(seed)
    size = everything.shape[1]
    inner = (torch.randn(width, size, generator=generator, dtype=torch.float64) / size**0.5).float()
    outer = (torch.randn(width, generator=generator, dtype=torch.float64) / width**0.5).float()
    head = ProbeHead(outer, torch.zeros(()), HiddenLayer(inner, torch.zeros(width)))
    optimizer = torch.optim.Adam([tensor.requires_grad_() for tensor in head.tensors.values()], lr=RATE)
    best, kept, epochs = float("inf"), _copy(head), 0
    for epoch in range(1, LONGEST + 1):
        for rows in torch.randperm(len(train.a), generator=generator).split(BATCH):
            batch = train.rows(rows)
            penalty = 0.5 * strength * (inner.square().sum() + outer.square().sum())
            optimizer.zero_grad()
            (mean_loss(batch.score(head), batch) + penalty).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(mean_loss(validation.score(head), validation))
        if loss < best:
            best, kept, epochs = loss, _copy(head), epoch
        elif epoch - epochs >= PATIENCE:
            break
    return HiddenFit(_for_raw(kept, train, mean, std), best, epochs)


def _copy(head: ProbeHead) -> ProbeHead:
    return ProbeHead.of({name: tensor.detach().clone() for name, tensor in head.tensors.items()})


def _for_raw(head: ProbeHead, train: Part, mean: Tensor, std: Tensor) -> ProbeHead:
    """The head for raw features. Pairs have no bias to learn: their mean reward is set to zero."""
    assert head.hidden is not None
    bias = head.bias if train.b is None else head.bias - head.of_means(train.everything).mean()
    return ProbeHead(head.weight, bias, HiddenLayer(*fold(head.hidden.weight, head.hidden.bias, mean, std)))
