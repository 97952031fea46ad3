"""From a request to what is to be run: a recipe within the limits, prompts, and what is wanted of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.named_rewards import REWARD
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.serving.errors import of_sea_error, refused
from sea_toolkit.serving.menu import Menu
from sea_toolkit.serving.requests import Asked, ChatRequest, CompletionRequest, SeaOptions
from sea_toolkit.util.conversation import Prompt

_OF_REQUESTS = ("weight", "label", "active", "name")
_BOUNDS = ("max", "min", "method")
_ROLES = ("system", "developer", "user", "assistant")
_LENGTHS = ("chains", "steps", "budget")


@dataclass(frozen=True)
class Order:
    """What a request asks for.

    Attributes:
        recipe: with the request's settings.
        prompts: to be answered; conversations, or texts to be continued.
        continues: the prompts are texts to be continued, without the chat template.
        choices: answers per prompt.
        stops: texts at which answers are cut.
        logprobs: log π of each token is wanted.
        seconds: of sampling.
        isolated: nothing may share the run.
    """

    recipe: Recipe
    prompts: Sequence[Prompt]
    continues: bool
    choices: int
    stops: Sequence[str]
    logprobs: bool
    seconds: float
    isolated: bool

    @property
    def key(self) -> tuple[str, bool, float]:
        """Equal for requests that can share a run."""
        return self.recipe.model_dump_json(), self.continues, self.seconds


def order_of(request: ChatRequest | CompletionRequest, menu: Menu, hub: PluginHub) -> Order:
    """Read a request.

    Raises:
        ApiError: it asks for what is not on the menu, is beyond the limits, or no recipe.
    """
    base, limits = menu.recipe_of(request.model, request.sea.recipe), menu.limits
    if request.stream_options is not None and not request.stream:
        raise refused("stream_options without stream", "stream_options")
    _refuse_beyond("sea", len(request.sea.model_dump_json(exclude_unset=True)), limits.options, "characters")
    _refuse_beyond("n", request.n, limits.choices)
    _refuse_beyond("sea.max_seconds", request.sea.max_seconds, limits.seconds)
    prompts = _conversation(request) if isinstance(request, ChatRequest) else _texts(request)
    _refuse_beyond("prompt", len(prompts), limits.batch, "prompts")
    for prompt in prompts:
        size = sum(len(turn.content) for turn in prompt.messages)
        _refuse_beyond(_asked_in(request), size, limits.characters, "characters")
    return Order(
        recipe=_recipe(request, base, menu, hub),
        prompts=prompts,
        continues=isinstance(request, CompletionRequest),
        choices=request.n or 1,
        stops=request.stops,
        logprobs=request.logprobs is not None and request.logprobs is not False,
        seconds=request.sea.max_seconds or limits.seconds,
        isolated=request.sea.isolated,
    )


def _recipe(request: ChatRequest | CompletionRequest, base: Recipe, menu: Menu, hub: PluginHub) -> Recipe:
    """The recipe with the request's settings over it."""
    sea, limits = request.sea, menu.limits
    for name in ("budget", "steps", "chains"):
        _refuse_beyond(f"sea.{name}", vars(sea)[name], vars(limits)[name])
    if sea.budget is not None and sea.steps is not None:
        raise refused("sea.budget and sea.steps are both set; expected one of them", "sea.steps")
    named = {sea.reward: 1.0} if isinstance(sea.reward, str) else sea.reward or {}
    rewards = {menu.reward(name, "sea.reward"): weight for name, weight in named.items()}
    settings = {
        "max_new_tokens": _tokens(request, limits.tokens),
        "seed": request.seed,
        "initializer": _initializer(request, base),
        "sampler": _sampler(sea, base, hub, limits.width),
        **{name: vars(sea)[name] for name in _LENGTHS},
    }
    terms = [_energy(label, options, menu) for label, options in sea.energies.items()]
    limited = [_constraint(i, table, menu) for i, table in enumerate(sea.constraints)]
    if limited:
        settings["constraints"] = [*(c.model_dump(exclude_unset=True) for c in base.constraints), *limited]
    try:
        return build_recipe(base, rewards, settings, terms=terms, hub=hub)
    except RecipeError as error:
        raise of_sea_error(error, "sea") from error


def _tokens(request: ChatRequest | CompletionRequest, most: int) -> int | None:
    """Tokens of an answer, by whichever of its two names."""
    value, name = request.max_tokens, "max_tokens"
    if isinstance(request, ChatRequest) and request.max_completion_tokens is not None:
        if value is not None:
            raise refused("max_tokens and max_completion_tokens are both set; expected one of them", "max_tokens")
        value, name = request.max_completion_tokens, "max_completion_tokens"
    _refuse_beyond(name, value, most)
    return value


def _initializer(request: Asked, base: Recipe) -> str | dict[str, Any] | None:
    """Where the chains start: at temperature 0 from the most probable answer."""
    own = base.initializer
    if request.temperature is None:
        return None
    if own.name not in ("base-samples", "greedy"):
        raise refused(
            f"the recipe starts from {own.name!r}, and not from samples that have a temperature", "temperature"
        )
    return {"name": "base-samples", "temperature": request.temperature} if request.temperature else "greedy"


def _sampler(sea: SeaOptions, base: Recipe, hub: PluginHub, most: int) -> str | dict[str, Any] | None:
    """The sampler by name, or its table: one of the box, or one that the recipe has.

    Its whole numbers are bounded, since some of them are answers that are worked on side by side.
    """
    if sea.sampler is None:
        return None
    table = {"name": sea.sampler} if isinstance(sea.sampler, str) else sea.sampler
    for key in _LENGTHS:
        if key in table:
            raise refused(f"sea.sampler.{key} is not set here; expected sea.{key}", f"sea.sampler.{key}")
    known = {"auto", base.sampler.name, *(i.name for i in hub.items("sampler") if i.record.status == "built-in")}
    name = table.get("name")
    if not isinstance(name, str) or name not in known:
        hint = did_you_mean(str(name), known)
        raise refused(f"there is no sampler {name!r} on this server ({hint})", "sea.sampler")
    for key, value in table.items():
        if isinstance(value, dict | list):  # a schedule is a plugin
            raise refused(f"sea.sampler.{key} is no number and no text", f"sea.sampler.{key}")
        if isinstance(value, int):
            _refuse_beyond(f"sea.sampler.{key}", value, most)
    return sea.sampler


def _energy(label: str, options: Mapping[str, Any], menu: Menu) -> dict[str, Any]:
    """A term of the recipe, whose label is its energy's name unless it has a `name`."""
    param, name = f"sea.energies.{label}", options.get("name", label)
    menu.refuse_energy(name, [key for key in options if key not in _OF_REQUESTS], param)
    _refuse_weight(options, param)
    return {"label": label, **options} if "name" in options else {**options, "name": label}


def _constraint(number: int, table: Mapping[str, Any], menu: Menu) -> dict[str, Any]:
    """A limit of the recipe, on an energy that is open or a reward that is known."""
    param, name = f"sea.constraints.{number}", table.get("name")
    rest = [key for key in table if key not in (*_OF_REQUESTS, *_BOUNDS)]
    _refuse_weight(table, param)
    if name in REWARD:
        model = menu.reward(table.get("model"), param)
        rest = [key for key in rest if key not in ("model", "output")]
        if rest:
            raise refused(f"{param}: a request cannot set {rest[0]!r} of a reward", f"{param}.{rest[0]}")
        return {**table, "model": model}
    menu.refuse_energy(name, rest, param)
    return dict(table)


def _refuse_weight(table: Mapping[str, Any], param: str) -> None:
    """Numbers alone: a schedule names a plugin, and a column a table that a request has not."""
    for key in ("weight", "max", "min"):
        value = table.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise refused(f"{param}.{key} is no number", f"{param}.{key}")


def _refuse_beyond(param: str, value: float | None, most: float, unit: str = "") -> None:
    if value is not None and value > most:
        raise refused(f"{param} is {value:g} {unit}".rstrip() + f"; expected at most {most:g}", param)


def _asked_in(request: ChatRequest | CompletionRequest) -> str:
    return "messages" if isinstance(request, ChatRequest) else "prompt"


def _conversation(request: ChatRequest) -> list[Prompt]:
    turns = []
    for i, turn in enumerate(request.messages):
        role = turn.get("role")
        if role not in _ROLES:
            raise refused(f"messages.{i}: the role is {role!r}; expected one of {', '.join(_ROLES)}", "messages")
        turns.append({**turn, "role": "system" if role == "developer" else role})
    try:
        return [Prompt.of(turns, "messages")]
    except RecipeError as error:
        raise of_sea_error(error, "messages") from error


def _texts(request: CompletionRequest) -> list[Prompt]:
    texts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    try:
        return [Prompt.of(text, "prompt" if len(texts) == 1 else f"prompt {i}") for i, text in enumerate(texts, 1)]
    except RecipeError as error:
        raise of_sea_error(error, "prompt") from error
