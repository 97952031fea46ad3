"""What an initializer is: a function of a problem and noise, or a class with `write`. What it writes is checked."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.values import described
from sea_toolkit.lm.decoding import Decoded
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.scores import wrong_ids
from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to, wrong_return
from sea_toolkit.registry.declared import check_declared

if TYPE_CHECKING:
    from sea_toolkit.problem.problem import Problem


class Initializer(ABC):
    """Writes the first response of every chain. The usual initializer is simpler as a function.

    Attributes:
        locked_text: a text that begins every answer and that no sampler can change, or None.
        columns: of the prompts' table, which it reads in `Prompt.columns`.
        draws_policy: it writes samples of the policy, which a sampler may draw from its own proposal instead.
    """

    locked_text: str | None = None
    columns: Columns = Columns()
    draws_policy: bool = False

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

    def write(self, problem: Problem, noise: Noise, keep_cache: bool) -> Any:  # checked by `CheckedInitializer`
        return self.function(problem, noise, *((keep_cache,) if self.takes_cache else ()))


@dataclass(frozen=True)
class CheckedInitializer:
    """An initializer in a run.

    Attributes:
        initializer: what writes.
        owner: whose code it is.
    """

    initializer: Initializer
    owner: Owner

    @property
    def locked_text(self) -> str | None:
        """The text that begins every answer, or None.

        Raises:
            PluginError: it is no text.
        """
        with attribute_errors_to(self.owner, "failed in locked_text", user_errors_pass=True):
            text: Any = self.initializer.locked_text
        if not isinstance(text, str | None):
            raise wrong_return(self.owner, f"its locked_text is {described(text)}", expected="a text, or None")
        return text

    @property
    def columns(self) -> Columns:
        """What it reads of the prompts' table.

        Raises:
            PluginError: it is no `Columns`.
        """
        with attribute_errors_to(self.owner, "failed in columns", user_errors_pass=True):
            columns: Any = self.initializer.columns
        if not isinstance(columns, Columns):
            raise wrong_return(self.owner, f"its columns are {described(columns)}", expected="sea_toolkit.Columns")
        return columns

    @property
    def draws_policy(self) -> bool:
        """Whether it writes samples of the policy, which a sampler may draw from its own proposal instead.

        Raises:
            PluginError: it is no truth value.
        """
        with attribute_errors_to(self.owner, "failed in draws_policy", user_errors_pass=True):
            draws: Any = self.initializer.draws_policy
        if not isinstance(draws, bool):
            raise wrong_return(self.owner, f"its draws_policy is {described(draws)}", expected="True or False")
        return draws

    def write(self, problem: Problem, noise: Noise, keep_cache: bool = False) -> Decoded | Tensor:
        """Token ids `[P, C, T]`, or such ids with log π.

        Raises:
            PluginError: the initializer fails, or returns something else.
        """
        with attribute_errors_to(self.owner, "failed", user_errors_pass=True):
            written: Any = self.initializer.write(problem, noise, keep_cache)
        ids, shape = written.ids if isinstance(written, Decoded) else written, (len(problem.prompts), problem.chains)
        wrong = wrong_ids(ids, (*shape, problem.length), problem.policy.vocab_size)
        if wrong is not None:
            raise wrong_return(self.owner, f"returned {wrong[0]}", expected=f"{wrong[1]}, or what decode returns")
        if isinstance(written, Decoded):
            log_prob: Any = written.log_prob
            if not isinstance(log_prob, Tensor) or log_prob.shape != ids.shape:
                what = f"returned ids with a log_prob that is {described(log_prob)}"
                raise wrong_return(self.owner, what, expected=f"log π of each of them, {list(ids.shape)}")
            return written
        return written.to(problem.policy.device)


def as_initializer(built: Any, owner: Owner) -> CheckedInitializer:
    """Turn what `Item.build` returned for a registered initializer into one for a run.

    Raises:
        PluginError: neither a function nor an `Initializer`.
    """
    if isinstance(built, Initializer):
        return CheckedInitializer(built, owner)
    if isinstance(built, functools.partial):
        return CheckedInitializer(FunctionInitializer(built), owner)
    raise AttributedError(
        owner,
        f"{type(built).__name__} is no initializer",
        expected="a function of a problem and noise, or a class that derives from sea_toolkit.Initializer",
    )
