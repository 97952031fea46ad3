"""Limits on an energy: a constraint is 0 inside the limits and grows outside."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.energy import BoundEnergy


def hinge(bound: BoundEnergy, low: float | None, high: float | None) -> BoundEnergy:
    """A constraint as a bound energy: how far the limited value lies outside [low, high], in its own unit.

    The limited value is the reward if the energy is the negative of one, else the energy itself. Warnings and the
    fingerprint are those of the constrained energy.

    Args:
        bound: the energy that is constrained.
        low: smallest allowed value, or None.
        high: largest allowed value, or None.
    """
    sign = -1.0 if bound.is_reward else 1.0
    energy, score_text = bound.energy, bound.score_text

    def outside(value: Tensor) -> Tensor:
        reading, excess = sign * value.float(), torch.zeros_like(value, dtype=torch.float32)
        if high is not None:
            excess = excess + (reading - high).clamp(min=0)
        if low is not None:
            excess = excess + (low - reading).clamp(min=0)
        return excess

    def of_response(response: SoftResponse) -> Tensor:
        assert energy is not None
        return outside(energy(response))

    def of_texts(prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
        assert score_text is not None
        return outside(torch.as_tensor(score_text(prompts, texts)))

    def unmet(prompt: str, text: str, value: float) -> str:
        limits = " and ".join(f"{k} = {v:g}" for k, v in (("min", low), ("max", high)) if v is not None)
        return f"{value:.3g} outside of {limits}" if value > 0 else ""

    return BoundEnergy(
        energy=of_response if energy is not None else None,
        has_gradient=bound.has_gradient,
        score_text=of_texts if score_text is not None else None,
        warnings=bound.warnings,
        unmet=unmet,
        fingerprint=bound.fingerprint,
    )
