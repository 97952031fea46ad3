"""Limits on an energy: a constraint is 0 inside the limits and grows outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.problem.functions import numbers_for


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

    def of_response(response: SoftResponse) -> Any:  # what is no tensor is told by the term
        assert energy is not None
        value: Any = energy(response)
        return outside(value) if isinstance(value, Tensor) and not value.is_complex() else value

    def of_texts(prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
        assert score_text is not None
        return outside(numbers_for(score_text(prompts, texts), len(texts)))

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
