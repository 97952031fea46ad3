"""What an energy is: a function, or a class with `bind`; and what it is once it is bound to a run."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.registry.blame import AttributedError
from sea_toolkit.registry.declared import check_declared
from sea_toolkit.registry.options import ScheduleLike

if TYPE_CHECKING:
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.problem.context import Context

ResponseFunction: TypeAlias = Callable[[SoftResponse], Tensor]
"""Energy `[P, C]` of a response."""

TextFunction: TypeAlias = Callable[[Sequence[str], Sequence[str]], Any]
"""`f(prompts, texts)`: N numbers, the energies of N texts as answers to N prompts."""


@dataclass(frozen=True, kw_only=True)
class BoundEnergy:
    """An energy bound to a run; lower is better, in nats before the recipe's weight.

    Attributes:
        energy: of a response `[P, C]`; None where only texts can be scored, and there is no gradient.
        score_text: of N texts; None where the response form serves for texts too. Where both are given they agree.
        is_reward: its negative is a reward, and is reported as one.
        warnings: what a person should know; shown with the results.
        fingerprint: what the energy depends on besides its options and the models it has announced; a run can be
            resumed only with the same.
    """

    energy: ResponseFunction | None = None
    score_text: TextFunction | None = None
    is_reward: bool = False
    warnings: Sequence[str] = ()
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.energy is None and self.score_text is None:
            raise TypeError("BoundEnergy needs `energy`, `score_text` or both")


@dataclass(frozen=True, kw_only=True)
class PolicyEnergy(BoundEnergy):
    """−log π(y|x): what proposals drawn from the policy follow already.

    Attributes:
        per_nat: lengths `[P, C]` → what one nat of the summed −log π counts in this term.
        of_text: `(response, known, same) -> [P, C]`: the energy of hard responses; Σ log π is `known` `[P, C]` for the
            rows where `same`, and is not computed again there. Both may be None.
    """

    per_nat: Callable[[Tensor], Tensor]
    of_text: Callable[[SoftResponse, Tensor | None, Tensor | None], Tensor]


class Energy(ABC):
    """An energy that needs the run's prompts, the policy or a model of its own: options in `__init__`, work in `bind`.

    An energy that needs none of these is better written as a function. A class without `bind`, or with a misspelt name
    of those below, is an error when it is made.

    Attributes:
        differentiable: True or False where every instance has, or lacks, a gradient; None where that is known only
            when it is bound. Samplers that need a gradient are refused before any weights are read where it is False.
        joint: the energy is one of all chains of a prompt, which see each other in it.
        label: its name in results; None for the registered name.
        reward_model: the model whose output it is, by the name in the recipe: a judge must be another one.
        code: Python functions that its options name (`package.module:function`), which the user has to allow.
        fingerprint: as that of `BoundEnergy`, where it is known before anything is bound.
    """

    differentiable: bool | None = None
    joint: bool = False
    label: str | None = None
    reward_model: str | None = None
    code: Sequence[str] = ()
    fingerprint: str | None = None

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:  # noqa: B027  nothing to check is the usual case
        """Refuse what cannot work, before any weights are read.

        Args:
            finder: from names to models.
            tokenizer: the policy's.

        Raises:
            SeaError: a model that cannot be found, or does not go with the policy.
        """

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        check_declared(cls, Energy, ("bind",))

    @abstractmethod
    def bind(self, context: Context) -> BoundEnergy | Callable[..., Any]:
        """Do the work that is needed once per run: find and load models, encode what stands before the answers.

        Returns:
            A `BoundEnergy`, or a function: of a response, or of `(prompts, texts)`.
        """


@runtime_checkable
class Bindable(Protocol):
    """A plain class with `bind`, which is taken as an energy with the defaults of `Energy`."""

    def bind(self, context: Any) -> Any: ...


CONTRACT = frozenset({"differentiable", "joint", "label", "reward_model", "code", "fingerprint", "check"})
"""What the core reads of an `Energy` besides `bind`."""


def as_energy(built: Any, owner: str) -> Energy:
    """What `Item.build` made of a registered energy, as an `Energy`.

    A function becomes one with its options bound. A plain class with `bind` is taken with the defaults of `Energy`.

    Args:
        built: an instance of a class, or a `functools.partial` of a function.
        owner: the plugin's name for messages.

    Raises:
        PluginError: neither; or a plain class that sets what only an `Energy` can.
    """
    if isinstance(built, Energy):
        return built
    if isinstance(built, functools.partial):
        return FunctionEnergy(built)
    name = type(built).__name__
    if not isinstance(built, Bindable):
        raise AttributedError(
            owner,
            f"{name} has no bind(context)",
            expected="a function, or a class that derives from sea_toolkit.Energy",
        )
    declared = sorted(CONTRACT & set(dir(built)))
    if declared:
        raise AttributedError(
            owner,
            f"{name} sets {', '.join(declared)}, which only an Energy has",
            expected=f"class {name}(sea_toolkit.Energy)",
        )
    return _PlainEnergy(built.bind)


class FunctionEnergy(Energy):
    """An energy written as a plain function: options that are schedules are resolved before each call."""

    def __init__(self, function: functools.partial[Any]) -> None:
        self.function, self.options = function.func, dict(function.keywords)
        self.reads_text = scores_text(function.func)
        self.differentiable = not self.reads_text

    def bind(self, context: Context) -> BoundEnergy:
        def now() -> dict[str, Any]:
            return {k: context.clock.value(v) if isinstance(v, ScheduleLike) else v for k, v in self.options.items()}

        if self.reads_text:
            return BoundEnergy(score_text=lambda prompts, texts: self.function(prompts, texts, **now()))
        return BoundEnergy(energy=lambda response: self.function(response, **now()))


class _PlainEnergy(Energy):
    """A class with `bind` and nothing else of the contract."""

    def __init__(self, bind: Callable[[Context], Any]) -> None:
        self._bind = bind

    def bind(self, context: Context) -> Any:  # checked by `as_bound`
        return self._bind(context)


def scores_text(function: Callable[..., Any]) -> bool:
    """Whether a function takes prompts and texts, by the name of its first parameter."""
    return next(iter(inspect.signature(function).parameters), "") in ("prompts", "texts")


def as_bound(returned: Any, owner: str) -> BoundEnergy:
    """What `bind` returned, as a `BoundEnergy`.

    Raises:
        PluginError: neither a `BoundEnergy` nor a function. An object with attributes is refused, not guessed at:
            a misspelt attribute would go unnoticed.
    """
    if isinstance(returned, BoundEnergy):
        return returned
    if inspect.isroutine(returned) or isinstance(returned, functools.partial):
        return BoundEnergy(score_text=returned) if scores_text(returned) else BoundEnergy(energy=returned)
    raise AttributedError(
        owner,
        f"bind returned {'nothing' if returned is None else f'a {type(returned).__name__}'}",
        expected="a function of a response or of (prompts, texts), or a sea_toolkit.BoundEnergy",
        hint="return BoundEnergy(energy=…, score_text=…, is_reward=…, warnings=…, fingerprint=…)",
    )
