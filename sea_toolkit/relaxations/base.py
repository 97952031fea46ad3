"""A registered relaxation in a run: what it works on, and the options as they stand now."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.noise import Noise
from sea_toolkit.core.values import described
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return
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
        owner: whose code it is.
    """

    def __init__(
        self,
        built: functools.partial[Tensor],
        clock: Clock,
        space: EmbeddingSpace | None = None,
        owner: Owner | None = None,
    ) -> None:
        self.function, self.options, self.clock = built.func, dict(built.keywords), clock
        self.owner = owner or Owner("the relaxation").with_code_of(built)
        self.noisy = draws_noise(built.func)
        self.space = space if takes_points(built.func) else None

    def __call__(self, latent: Tensor, noise: Noise) -> Tensor:
        """Weights `[P, C, T, K]` of logits `[P, C, T, K]`, or `[P, C, T, V]` of points `[P, C, T, D]`.

        Raises:
            PluginError: the relaxation fails, or returns something else than weights of this shape.
            RecipeError: it works on points, and the sampler has logits.
        """
        filled: dict[str, Any] = {"noise": noise} if self.noisy else {}
        if self.space is not None:
            width = self.space.table.shape[-1]
            if latent.shape[-1] != width:
                raise RecipeError(
                    f"{self.owner} works on points of {width} coordinates, and the sampler has logits",
                    hint="a sampler that takes its latent from the relaxation: sea, mala or psgld",
                )
            latent, filled["space"] = latent * self.space.unit, self.space
        now = {k: self.clock.value(v) if is_schedule(v) else v for k, v in self.options.items()}
        with attribute_errors_to(self.owner, "failed", user_errors_pass=True):
            weights: Any = self.function(latent, **filled, **now)
        shape = [*latent.shape[:-1], latent.shape[-1] if self.space is None else len(self.space.table)]
        if not isinstance(weights, Tensor):
            raise wrong_return(self.owner, f"returned {described(weights)}", expected=f"weights {shape}")
        floats = weights.is_floating_point() and weights.layout == torch.strided
        if list(weights.shape) != shape or not floats or weights.device != latent.device:
            what = f"returned {described(weights)}"
            raise wrong_return(self.owner, what, expected=f"weights {shape}, floats on {latent.device}")
        return weights
