"""What several commands read from their flags. `--reward`, `--energy` and `--judge` have one grammar:
`NAME[=WEIGHT][,OPTION=VALUE]…`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from sea_toolkit.cli.completion import RECIPES
from sea_toolkit.cli.values import split, table_of, value_of
from sea_toolkit.errors import RecipeError, shortened
from sea_toolkit.registry.allowed import is_url
from sea_toolkit.util.paths import user_path

TERM = "NAME[=WEIGHT][,OPTION=VALUE]…"


class _Given(click.ParamType):
    """A text that is not empty, as that of a variable of the shell is that was not set."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself.

        Raises:
            RecipeError: it is empty.
        """
        if not value.strip():
            raise RecipeError(
                f"{_title(param)} is empty", expected="a value", hint="a variable of the shell may not be set"
            )
        return str(value)


class _PathName(click.ParamType):
    """A path, with `~` replaced; see `user_path`."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            RecipeError: it is empty, or none that a file system takes.
        """
        return user_path(value, _title(param))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files, by the shell itself."""
        return [CompletionItem(incomplete, type="file")]


class _RecipeName(click.ParamType):
    """A recipe: the name of one or a TOML file; with options behind it, `NAME,OPTION=VALUE…`, a table of both."""

    name = "recipe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | dict[str, Any]:
        """The name alone, or a table of the name and its options. A file may have commas in its name.

        Raises:
            RecipeError: it is empty, or the options have another form.
        """
        if isinstance(value, dict):
            return value
        written = GIVEN.convert(value, param, ctx)
        if "," not in written or user_path(written, _title(param)).exists():
            return written
        where = f"{_title(param)} {shortened(written)}"
        head, *rest = split(written, where)
        options = table_of(rest, where, "words=[rain,sun]")
        if "name" in options:
            raise RecipeError(f"{where}: the name is there twice", expected="the name in front alone")
        return {"name": head.strip(), **options}

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names of recipes; files by the shell itself where nothing is called so."""
        return RECIPES(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]


GIVEN, PATH, RECIPE = _Given(), _PathName(), _RecipeName()


def _title(param: click.Parameter | None) -> str:
    """What a user calls the parameter."""
    if isinstance(param, click.Option):
        return param.opts[0]
    return param.human_readable_name if param is not None else "the value"


def energy_term(text: str) -> dict[str, Any]:
    """`length=0.5,target=40` → a term of the recipe.

    Raises:
        RecipeError: it has another form.
    """
    return _term(text, "--energy", "target=40")


def reward_term(text: str) -> dict[str, Any]:
    """`owner/name=2,output=positive` → a term of the recipe whose `model` is a reward.

    Raises:
        RecipeError: it has another form.
    """
    term = _term(text, "--reward", "output=positive")
    if "model" in term:
        raise RecipeError(f"--reward {shortened(text)}: the model is there twice", expected="its name in front alone")
    return {"weight": 1.0, **term, "name": "reward", "model": term["name"]}


def checked_reward(text: str) -> dict[str, Any]:
    """`owner/name,output=positive` → the term of a reward that is looked at; `process-reward,model=owner/name` → the
    term of an energy that reads a model.

    Raises:
        RecipeError: it has another form, or a weight.
    """
    term = _term(text, "reward", "output=positive")
    if "weight" in term:
        raise RecipeError(
            f"reward {shortened(text)}: what is checked has no weight",
            expected="NAME[,OPTION=VALUE]…, as in rm,output=positive",
        )
    return term if "model" in term else {**term, "name": "reward", "model": term["name"]}


def servers_in(terms: Iterable[Mapping[str, Any]]) -> list[str]:
    """The servers that terms on the command line name: who types them allows them."""
    return [str(term[key]) for term in terms for key in ("model", "url") if is_url(str(term.get(key, "")))]


def judge(text: str) -> dict[str, Any]:
    """`owner/name,output=positive` → a judge's specification.

    Raises:
        RecipeError: it has another form, or a weight: judges are reported one by one.
    """
    term = _term(text, "--judge", "output=positive")
    if "weight" in term:
        raise RecipeError(
            f"--judge {shortened(text)}: a judge has no weight",
            expected="NAME[,OPTION=VALUE]…, as in rm,output=positive",
        )
    name = term.pop("name")
    return {"model": name, **term}


def named_table(text: str, flag: str, example: str) -> dict[str, Any]:
    """`ray,address=auto` → a name and its options.

    Raises:
        RecipeError: it has another form.
    """
    where = f"{flag} {shortened(text)}"
    head, *rest = split(text, where)
    options = table_of(rest, where, example)
    if not head.strip() or "name" in options:
        raise RecipeError(where, expected=f"NAME[,OPTION=VALUE]…, as in NAME,{example}")
    return {"name": head.strip(), **options}


def _term(text: str, flag: str, example: str) -> dict[str, Any]:
    where = f"{flag} {shortened(text)}"
    head, *rest = split(text, where)
    options = table_of(rest, where, example)
    # a path may have an equals sign, and a schedule has some
    name, equals, weight = head.partition("={") if head.rstrip().endswith("}") else head.rpartition("=")
    weight = "{" + weight if equals == "={" else weight
    name = (name if equals else head).strip()
    if not name:
        raise RecipeError(f"{flag} {shortened(text)!r} has no name", expected=f"{flag} {TERM}")
    if name[0] in "\"'":
        name = value_of(name, where)
    if "name" in options:
        raise RecipeError(f"{where}: the name is there twice", expected="the name in front alone")
    if not equals:
        return {"name": name, **options}
    if "weight" in options:
        raise RecipeError(f"{where}: the weight is there twice", expected=f"one of {name}=… and weight=…")
    return {"name": name, "weight": _weight(weight, name, where), **options}


def _weight(text: str, name: str, where: str) -> Any:
    """A number, or a schedule."""
    try:
        return float(text)
    except ValueError:
        value = value_of(text, where)
    if isinstance(value, dict):
        return value
    raise RecipeError(f"the weight of {name!r} is {shortened(text)!r}", expected=f"a number, as in {name}=8")


def assignment(text: str) -> tuple[str, Any]:
    """`sampler.step_size=0.2` → the path and the value, which is TOML, else a string."""
    path, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--set {shortened(text)}", expected="KEY=VALUE, as in sampler.step_size=0.2")
    return path.strip(), value_of(value, f"--set {shortened(text)}")


def template_values(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any] | None:
    """`KEY=VALUE` of --template-option, as a table of the recipe; None if there are none."""
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise RecipeError(f"--template-option {shortened(text)}", expected="KEY=VALUE, as in enable_thinking=false")
        if key in values:
            raise RecipeError(f"--template-option: {key!r} is there twice", expected="each variable once")
        values[key] = value_of(value, f"--template-option {shortened(text)}")
    return values or None
