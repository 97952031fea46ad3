"""What an energy is before it is bound to a run (a function or a class with `bind`) and after (`BoundEnergy`)."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.functions import FunctionForm, numbers_for
from sea_toolkit.problem.outlook import Foresight, ModelOutlook, Outlook, Road
from sea_toolkit.problem.stated import check_bound, check_statements
from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to
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
        energy: of a response, `[P, C]`; None if only texts can be scored, and then there is no gradient.
        has_gradient: False where `energy` is of hard responses alone, as of one that asks how a text ended.
        score_text: of N prompts and N texts, N numbers; None if `energy` also serves for texts. Where both are given,
            they must agree.
        is_reward: the negative of the energy is a reward, and is reported as one.
        warnings: lines that are shown with the results.
        unmet: of a wish that is met where the energy is 0: `unmet(prompt, text, energy)` says in a few words what the
            text lacks, "" where it lacks nothing. It is asked about the answer alone.
        fingerprint: stands for everything that the energy depends on besides its options and announced models (a
            file's hash, for example); a run can only be resumed with the same one.
        compass: file of the compass that comes with it, which a run uses where the recipe names none.
    """

    energy: ResponseFunction | None = None
    has_gradient: bool = True
    score_text: TextFunction | None = None
    is_reward: bool = False
    warnings: Sequence[str] = ()
    unmet: Callable[[str, str, float], str] | None = None
    fingerprint: str | None = None
    compass: Path | None = None

    def __post_init__(self) -> None:
        if self.energy is None and self.score_text is None:
            raise TypeError("BoundEnergy needs `energy`, `score_text` or both")


@dataclass(frozen=True, kw_only=True)
class PolicyEnergy(BoundEnergy):
    """−log π(y|x), the term that samples of the policy already follow.

    Attributes:
        per_nat: from lengths `[P, C]` to the value of one nat of the summed −log π in this term.
        of_text: `(response, known, same) -> [P, C]`: the energy of hard responses; Σ log π is `known` `[P, C]` for the
            rows where `same`, and is not computed again there. Both may be None.
    """

    per_nat: Callable[[Tensor], Tensor]
    of_text: Callable[[SoftResponse, Tensor | None, Tensor | None], Tensor]


class Energy(ABC):
    """An energy that needs the run's prompts, the policy or a model of its own: options in `__init__`, work in `bind`.

    An energy that needs none of these is better written as a function. A class that lacks `bind`, or misspells a name
    below, is refused when the class is defined.

    Attributes:
        differentiable: True if every instance has a gradient, False if none has one, None if that is known only after
            `bind`. With False, a sampler that needs a gradient is refused before any weights are read.
        joint: a chain's energy depends on the other chains of its prompt.
        tells_early: the beginning of an answer tells what the whole will be worth, as a count does and the verdict on a
            finished answer does not, and asking often costs little. Without a gradient, `smc` is then taken by itself.
        label: the term's name in results; None for the registered name.
        reward_model: the model whose output the energy is, or several, by their names in the recipe; a judge must be
            another one.
        code: Python functions that the options name (`package.module:function`); the user has to allow them.
        columns: of the prompts' table, which it reads in `Prompt.columns`.
        servers: URLs that prompts and answers are sent to; the user has to allow them.
        fingerprint: as in `BoundEnergy`, if it is known before `bind`.
    """

    differentiable: bool | None = None
    joint: bool = False
    tells_early: bool = False
    label: str | None = None
    reward_model: str | Sequence[str] | None = None
    code: Sequence[str] = ()
    servers: Sequence[str] = ()
    columns: Columns = Columns()
    fingerprint: str | None = None

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:  # noqa: B027  nothing to check is the usual case
        """Refuse options that cannot work, before any weights are read.

        Args:
            finder: from names to models.
            tokenizer: the policy's.

        Raises:
            SeaError: a model cannot be found, or does not fit the policy.
        """

    def outlook(self, foresight: Foresight) -> Outlook:
        """Tell the road of the gradient and the models that it will run, before any weights are read. An energy that
        runs a model of its own says so here; else its cost is in no forecast.

        Args:
            foresight: names, configs and tokenizers, and no weights.

        Raises:
            SeaError: a model cannot be found.
        """
        roads: dict[bool | None, Road] = {True: "direct", False: "none", None: "unknown"}
        models: tuple[ModelOutlook, ...] | None = () if self.reward_model is None else None
        return Outlook(roads[self.differentiable], models, is_reward=self.reward_model is not None)

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        check_declared(cls, Energy, ("bind",))

    @abstractmethod
    def bind(self, context: Context) -> BoundEnergy | Callable[..., Any]:
        """Do the work that is needed once per run, such as loading models and encoding prompts.

        Returns:
            A `BoundEnergy`, or a function: of a response, or of `(prompts, texts)`.
        """


@runtime_checkable
class Bindable(Protocol):
    """A plain class with `bind`; it is used as an energy with the defaults of `Energy`."""

    def bind(self, context: Any) -> Any: ...


CONTRACT = frozenset(
    {"differentiable", "joint", "tells_early", "label", "reward_model", "code", "servers", "columns", "fingerprint"}
    | {"check", "outlook"}
)
"""What the core reads from an `Energy` besides `bind`."""


def as_energy(built: Any, owner: Owner | str) -> Energy:
    """Turn what `Item.build` returned for a registered energy into an `Energy`.

    A function keeps its options. A plain class with `bind` gets the defaults of `Energy`.

    Args:
        built: an instance of a class, or a `functools.partial` of a function.
        owner: the plugin's name for messages.

    Raises:
        PluginError: it is neither, a function of no known form, a plain class that sets an attribute of `Energy`, or
            one whose attributes cannot be read or have another type.
    """
    if isinstance(built, Energy):
        check_statements(built, owner)
        return built
    if isinstance(built, functools.partial):
        with attribute_errors_to(owner):
            return FunctionEnergy(built.func, built.keywords)
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
    """An energy written as a plain function: options that are schedules are resolved before each call.

    Args:
        function: what is called; see `FunctionForm`.
        options: its keyword arguments.
        is_reward: it returns a reward, whose negative is the energy.
        takes_columns: its other parameters are columns of the prompts.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        options: Mapping[str, Any] | None = None,
        *,
        is_reward: bool = False,
        takes_columns: bool = False,
    ) -> None:
        self.form = FunctionForm(function, tuple(options or ()), takes_columns=takes_columns)
        self.options, self.is_reward = options or {}, is_reward
        self.differentiable, self.columns = not self.form.reads_text, self.form.columns

    def bind(self, context: Context) -> BoundEnergy:
        """Make it ready for the run's prompts.

        Raises:
            RecipeError: a prompt has no column that the function needs.
        """

        def now() -> dict[str, Any]:
            return {k: context.clock.value(v) if isinstance(v, ScheduleLike) else v for k, v in self.options.items()}

        return bound_function(self.form.in_run(context), now, is_reward=self.is_reward)


def bound_function(
    form: FunctionForm, options: Callable[[], Mapping[str, Any]] = dict, *, is_reward: bool = False
) -> BoundEnergy:
    """A function as a bound energy.

    Args:
        form: the function, and what it is given.
        options: its keyword arguments at the moment.
        is_reward: it returns a reward, whose negative is the energy.
    """

    def energy(response: SoftResponse) -> Any:
        value = form.of_response(response, options())
        return -value if is_reward and isinstance(value, Tensor) else value  # `Term` refuses what is no tensor

    def score_text(prompts: Sequence[str], texts: Sequence[str]) -> Any:
        count = len(texts)  # the function may take them out of its list
        value = form.of_texts(prompts, texts, options())
        return -numbers_for(value, count) if is_reward else value

    if form.reads_text:
        return BoundEnergy(score_text=score_text, is_reward=is_reward, warnings=form.notes)
    return BoundEnergy(energy=energy, is_reward=is_reward)


class _PlainEnergy(Energy):
    """A class with `bind` and nothing else of the contract."""

    def __init__(self, bind: Callable[[Context], Any]) -> None:
        self._bind = bind

    def bind(self, context: Context) -> Any:  # checked by `as_bound`
        return self._bind(context)


def as_bound(returned: Any, owner: Owner | str) -> BoundEnergy:
    """Turn what `bind` returned into a `BoundEnergy`.

    Raises:
        PluginError: it is neither a `BoundEnergy` nor a function of one of the forms. An object with attributes is
            refused because a misspelt attribute would go unnoticed.
    """
    if isinstance(returned, BoundEnergy):
        check_bound(returned, owner)
        return returned
    if inspect.isroutine(returned) or isinstance(returned, functools.partial):
        return bound_function(FunctionForm(returned))
    raise AttributedError(
        owner,
        f"bind returned {'nothing' if returned is None else f'a {type(returned).__name__}'}",
        expected="a function of a response or of (prompts, texts), or a sea_toolkit.BoundEnergy",
        hint="return BoundEnergy(energy=…, score_text=…, is_reward=…, warnings=…, fingerprint=…)",
    )
