"""What an initializer is: a function of a problem and noise, or a class with `write`."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.registry.blame import AttributedError
from sea_toolkit.registry.declared import check_declared

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


class Initializer(ABC):
    """Writes the first response of every chain. The usual initializer is simpler as a function.

    Attributes:
        locked_text: a text that begins every answer and that no sampler can change, or None.
    """

    locked_text: str | None = None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        check_declared(cls, Initializer, ("write",))

    @abstractmethod
    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Tensor | Decoded:
        """The first responses: ids `[P, C, T]`, or what `decode` returns.

        Args:
            problem: of the run.
            noise: its streams.
            keep_cache: the sampler can use the keys and values of the responses; `decode` returns them on request.
        """


class FunctionInitializer(Initializer):
    """An initializer written as a function `f(problem, noise, *, …)`, or `f(problem, noise, keep_cache, *, …)`."""

    def __init__(self, function: functools.partial[Any]) -> None:
        self.function = function
        self.takes_cache = "keep_cache" in inspect.signature(function.func).parameters

    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Any:  # checked by `Problem.written`
        return self.function(problem, noise, *((keep_cache,) if self.takes_cache else ()))


def as_initializer(built: Any, owner: str) -> Initializer:
    """Turn what `Item.build` returned for a registered initializer into an `Initializer`.

    Raises:
        PluginError: neither a function nor an `Initializer`.
    """
    if isinstance(built, Initializer):
        return built
    if isinstance(built, functools.partial):
        return FunctionInitializer(built)
    raise AttributedError(
        owner,
        f"{type(built).__name__} is no initializer",
        expected="a function of a problem and noise, or a class that derives from sea_toolkit.Initializer",
    )
