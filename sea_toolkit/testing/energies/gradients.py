"""Gradients of an energy: against differences of its values, and against what the tilted samplers read."""

from __future__ import annotations

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.terms import Term
from sea_toolkit.testing.conformance import off, require
from sea_toolkit.testing.responses import Answers

STEPS = (0.1, 0.03, 0.01, 0.003)
"""Of the differences, in logits: large ones see the curvature, small ones the rounding; one of them has to agree."""
DIRECTIONS = 4
TOLERANCE = 0.02
"""Of the gradient's norm, which is the size of a derivative along a random direction of signs."""


def check_gradient(term: Term, answers: Answers) -> None:
    """Raises: Broken if a relaxed answer's gradient is not that of its energy, or a hard answer's is not finite."""
    z = answers.logits.to(answers.policy.device).requires_grad_()
    value = term(answers.soft(z))
    require(
        value.requires_grad,
        "no gradient reaches the response",
        hint="read probabilities rather than ids, without .item(), .detach() or numpy; or score texts alone",
    )
    (gradient,) = torch.autograd.grad(value.sum(), z)
    require(bool(gradient.isfinite().all()), "the gradient at a relaxed answer is not finite")
    g = torch.Generator().manual_seed(0)
    size = float(gradient.double().norm())
    rounding = 4e-7 * float(value.detach().abs().sum())
    for _ in range(DIRECTIONS):
        along = (2.0 * torch.randint(2, z.shape, generator=g) - 1.0).to(z.device)
        expected = float((gradient.double() * along).sum())
        gaps = {}
        for step in STEPS:
            with torch.no_grad():
                up, down = (term(answers.soft(z + s * step * along)).double().sum() for s in (1, -1))
            measured = float(up - down) / (2 * step)
            gaps[step] = abs(measured - expected) - rounding / step
            numbers = f"{measured:.4g} by differences, {expected:.4g} by autograd"
            if gaps[step] <= TOLERANCE * size:
                break
        require(
            min(gaps.values()) <= TOLERANCE * size,
            "the gradient is not the slope of the energy",
            detail=numbers,
            hint='no .detach() or .item() on the way; if it is biased by design: Setting(lacks=["gradient"])',
        )
    weights = answers.one_hot().requires_grad_()
    value = term(SoftResponse.from_weights(weights, None, answers.policy.eos_ids))
    (gradient,) = torch.autograd.grad(value.sum(), weights)
    require(
        bool(gradient.isfinite().all()),
        "the gradient at a hard answer is not finite",
        hint="an answer may be empty: clamp what is divided by, or is under a root or logarithm",
    )


def check_readings(term: Term, answers: Answers) -> None:
    """Raises: Broken if the gradient read off the taps of a hard answer is not that of all token weights."""
    policy = answers.policy
    weights = answers.one_hot().requires_grad_()
    value = term(SoftResponse.from_weights(weights, None, policy.eos_ids))
    (expected,) = torch.autograd.grad(value.sum(), weights)
    tapped = answers.hard().with_gradient_taps()
    assert tapped.taps is not None
    gradients = tapped.taps.gradient(term(tapped).sum())
    # before the end: what would follow a text that did not end is padding, which taps leave out
    inside = answers.hard().content > 0
    for t in range(answers.ids.shape[-1]):
        mask = inside[:, :, t]
        if not bool(mask.any()):
            continue
        read_off: Tensor = gradients.over_vocabulary(t, policy.vocab_size)
        gap = off(read_off[mask], expected[:, :, t][mask], 1e-3)
        require(
            not gap,
            "it reads the response in a way that the tilted samplers do not see",
            detail=gap,
            hint="use response.embed(table) and response.probability(ids), not response.weights",
        )
