"""A registered relaxation in a run: what it works on, and the options as they stand now."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.schedules.base import is_schedule


def takes_points(function: Callable[..., Any]) -> bool:
    """Whether a relaxation's latent is a point in embedding space per position: its first parameter is `points`."""
    return next(iter(inspect.signature(function).parameters), "") == "points"


def draws_noise(function: Callable[..., Any]) -> bool:
    """Whether a relaxation draws random numbers: it has a parameter `noise`."""
    return "noise" in inspect.signature(function).parameters


class Relaxation:
    """From a sampler's latent to token weights; options that are schedules are resolved at each call.

    Attributes:
        noisy: it draws random numbers.
        space: where its points lie, or None for one that works on logits. A sampler's latent is then in units of
            `space.unit`.

    Args:
        built: the function with its options bound.
        clock: of the run.
        space: of the policy; used if the relaxation takes points.
        name: for messages.
    """

    def __init__(
        self, built: functools.partial[Tensor], clock: Clock, space: EmbeddingSpace | None = None, name: str = ""
    ) -> None:
        self.function, self.options, self.clock, self.name = built.func, dict(built.keywords), clock, name
        self.noisy = draws_noise(built.func)
        self.space = space if takes_points(built.func) else None

    def __call__(self, latent: Tensor, noise: Noise) -> Tensor:
        """Weights `[P, C, T, K]` of logits `[P, C, T, K]`, or `[P, C, T, V]` of points `[P, C, T, D]`."""
        filled: dict[str, Any] = {"noise": noise} if self.noisy else {}
        if self.space is not None:
            width = self.space.table.shape[-1]
            if latent.shape[-1] != width:
                raise RecipeError(
                    f"relaxation {self.name!r} works on points of {width} coordinates, and the sampler has logits",
                    hint="a sampler that takes its latent from the relaxation: sea, mala or psgld",
                )
            latent, filled["space"] = latent * self.space.unit, self.space
        now = {k: self.clock.value(v) if is_schedule(v) else v for k, v in self.options.items()}
        return self.function(latent, **filled, **now)
