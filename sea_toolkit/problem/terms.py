"""What an energy term is to the core: bound to a run's prompts, checked at every call, named when it fails."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.errors import PluginError, SeaError
from sea_toolkit.registry.options import Number
from sea_toolkit.util.progress import Progress

if TYPE_CHECKING:
    from sea_toolkit.core.ledger import Ledger
    from sea_toolkit.core.response import SoftResponse
    from sea_toolkit.lm.kv_cache import Prefix
    from sea_toolkit.lm.policy import Policy
    from sea_toolkit.registry.hub import PluginHub

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Context:
    """What an energy may look at when it is bound.

    Attributes:
        policy: the causal LM.
        prompts: P texts.
        prefix: their key/value cache.
        length: T, the response positions of a run.
        ledger: to count the tokens an energy runs through its own model.
        clock: to resolve options that are schedules (`clock.value(option)`).
        hub: to look up named models.
        progress: to report a download.
        models: models that energies of this run have loaded beside the policy (see `load_once`).
        trust_remote_code: whether the user lets Python that comes with a model run, in this very call.
    """

    policy: Policy
    prompts: Sequence[str]
    prefix: Prefix
    length: int
    ledger: Ledger
    clock: Clock
    hub: PluginHub
    progress: Progress | None = None
    models: dict[tuple[Hashable, ...], Any] = field(default_factory=dict, repr=False)
    trust_remote_code: bool = False

    def load_once(self, key: tuple[Hashable, ...], load: Callable[[], Loaded]) -> Loaded:
        """What `load` gives; for several energies of a run with the same key, the same object.

        Args:
            key: what it is and where it comes from.
            load: reads it.
        """
        if key not in self.models:
            self.models[key] = load()
        loaded: Loaded = self.models[key]
        return loaded


@dataclass
class Term:
    """One weighted term of the energy.

    Attributes:
        label: its name in results and traces, unique in a run.
        weight: what it is multiplied by; a number or a schedule.
        bound: the bound energy: callable on a `SoftResponse`, and / or with `score_text`.
        owner: the plugin, as `distribution:name`, for messages.
        is_policy: this is −log π, which proposals drawn from the policy already follow.
        is_reward: its negative is a reward, and reported as one.
        unit: what the number is, for people.
        moves: an option follows a schedule, so that the same response has another value later.
    """

    label: str
    weight: Number
    bound: Any
    owner: str
    is_policy: bool = False
    is_reward: bool = False
    unit: str = "nats"
    moves: bool = False

    @property
    def differentiable(self) -> bool:
        """Whether it can be asked about a relaxed response."""
        return callable(self.bound)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """The unweighted energy of each response, float32."""
        value = self._guard(lambda: self.bound(response))
        expected = response.shape[:2]
        if not isinstance(value, Tensor) or tuple(value.shape) != expected:
            got = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise PluginError(
                f"energy {self.owner!r} returned {got}",
                expected=f"a tensor [P, C] = {list(expected)}",
                hint="sum or average over positions inside the energy",
            )
        return value.float()

    def score_text(self, prompts: Sequence[str], texts: Sequence[Sequence[str]]) -> Float[Tensor, "P C"] | None:
        """The unweighted energy of P × C texts, or None where only the response form exists."""
        score = getattr(self.bound, "score_text", None)
        if score is None:
            return None
        chains = len(texts[0])
        flat_prompts = [p for p in prompts for _ in range(chains)]
        flat = [t for row in texts for t in row]
        value = self._guard(lambda: torch.as_tensor(score(flat_prompts, flat), dtype=torch.float32))
        if tuple(value.shape) != (len(flat),):
            raise PluginError(
                f"score_text of energy {self.owner!r} returned {list(value.shape)} for {len(flat)} texts",
                expected=f"{len(flat)} numbers",
            )
        return value.reshape(len(texts), chains)

    def _guard(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except SeaError:
            raise
        except Exception as error:
            raise PluginError(
                f"energy {self.owner!r} failed: {type(error).__name__}: {error}",
                hint="report it to the plugin's author, or leave this energy out",
            ) from error


class BoundFunction:
    """An energy written as a plain function: options that are schedules are resolved before each call."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], context: Context) -> None:
        self.function, self.options, self.clock = function, options, context.clock

    def _now(self) -> dict[str, Any]:
        return {k: self.clock.value(v) if callable(getattr(v, "at", None)) else v for k, v in self.options.items()}


class ResponseFunction(BoundFunction):
    """`f(response, **options) -> [P, C]`."""

    def __call__(self, response: SoftResponse) -> Any:
        return self.function(response, **self._now())


class TextFunction(BoundFunction):
    """`f(prompts, texts, **options) -> [N]`: it has no gradient and takes part in selection and acceptance."""

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Any:
        return self.function(prompts, texts, **self._now())


def bind(built: Any, context: Context) -> Any:
    """Bind what `Item.build` made of a registered energy.

    An instance of a class has `bind(context)`; a partial of a function is wrapped, by its first parameter.
    """
    if not isinstance(built, functools.partial):
        return built.bind(context)
    first = next(iter(inspect.signature(built.func).parameters), "")
    kind = TextFunction if first in ("prompts", "texts") else ResponseFunction
    return kind(built.func, dict(built.keywords), context)


class _Hinge:
    """How far a bound energy's reading lies outside its limits, in the reading's own unit; see `hinge`."""

    def __init__(self, bound: Any, sign: float, low: float | None, high: float | None) -> None:
        self.bound, self.sign, self.low, self.high = bound, sign, low, high

    def outside(self, energy: Tensor) -> Tensor:
        reading, out = self.sign * energy.float(), torch.zeros_like(energy, dtype=torch.float32)
        if self.high is not None:
            out = out + (reading - self.high).clamp(min=0)
        if self.low is not None:
            out = out + (self.low - reading).clamp(min=0)
        return out


class _SoftHinge(_Hinge):
    def __call__(self, response: SoftResponse) -> Tensor:
        return self.outside(self.bound(response))


class _TextHinge(_Hinge):
    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
        return self.outside(torch.as_tensor(self.bound.score_text(prompts, texts)))


class _FullHinge(_SoftHinge, _TextHinge):
    pass


def hinge(bound: Any, sign: float, low: float | None, high: float | None) -> Any:
    """A constraint as a bound energy: 0 inside [low, high], growing linearly outside.

    Args:
        bound: the bound energy that is constrained.
        sign: −1 where people read the negative of the energy (a reward).
        low: smallest allowed reading, or None.
        high: largest allowed reading, or None.
    """
    has_text = hasattr(bound, "score_text")
    kind = (_FullHinge if has_text else _SoftHinge) if callable(bound) else _TextHinge
    return kind(bound, sign, low, high)
