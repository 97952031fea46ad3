"""Paths as users write them: unset variables, users that do not exist, names that no file system takes, no home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.testing.tiny import tiny_policy
from sea_toolkit.util.paths import cache_folder, user_path
from tests.cli.commands import invoke

LONG, NOBODY = "a" * 300, "~no-such-user/x"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without HOME, whose user is not in the list of users."""
    for name in ("HOME", "USERPROFILE", "SEA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_a_path_is_a_path() -> None:
    assert user_path("~/x", "p") == Path.home() / "x"
    assert user_path(Path("a") / "b", "p") == Path("a/b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "p is empty"),
        (NOBODY, "no such home"),
        ("a\0b", "null"),
        (f"x/{LONG}", "too long a name"),
        ("a/" * 3000, "too long a name"),
    ],
)
def test_what_is_no_path_is_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as refused:
        user_path(text, "p")
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("value", ["", NOBODY, LONG])
@pytest.mark.parametrize(
    "arguments",
    [
        ("align", "hi", "--out"), ("align", "hi", "--recipe"), ("align", "hi", "--plugin"), ("align", "--prompts"),
        ("align", "hi", "--energy", "length,target=3", "--model"), ("align", "hi", "--reward"), ("resume",),
        ("compare", "--samplers", "tilted"), ("compare", "x.txt", "--samplers", "tilted", "--out"),
        ("models", "convert", "x", "--out"), ("models", "convert", "--out", "x"), ("train-probe", "x.csv", "--out"),
        ("train-probe", "--out", "x.safetensors"), ("new-plugin", "x", "--kind", "energy", "--out"), ("--plugin",),
    ],
)  # fmt: skip
def test_every_option_that_takes_a_path_refuses_it(arguments: tuple[str, ...], value: str) -> None:
    more = ("list-plugins",) if arguments == ("--plugin",) else ()
    result = invoke(*arguments, value, *more)
    assert result.exit_code in (1, 2), result.output
    assert result.stderr.startswith("error: "), result.output
    assert isinstance(result.exception, SystemExit)
    assert len(result.stderr) < 400


@pytest.mark.parametrize("name", ["--model", "--sampler", "--device", "--column", "--messages"])
def test_a_variable_of_the_shell_that_is_not_set_is_no_value(name: str) -> None:
    result = invoke("align", "hi", name, "")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, f"error: {name} is empty")


@pytest.mark.parametrize("value", ["", NOBODY, LONG])
def test_python_refuses_it_as_well(value: str) -> None:
    settings = {"energies": {"x": (1.0, lambda prompts, texts: [0.0] * len(texts))}, "policy": tiny_policy()}
    with pytest.raises(RecipeError):
        sea.align("hi", out=value, **settings)
    with pytest.raises(RecipeError):
        sea.align("hi", recipe=value, **settings)
    with pytest.raises(RecipeError):
        sea.resume(value)
    with pytest.raises(RecipeError):
        compare(["hi"], samplers=["tilted"], budgets=[2], out=value, recipe={"energies": [{"name": "length"}]})


def test_without_a_home_the_list_of_plugins_is_there_and_the_cache_asks_for_a_folder(homeless: None) -> None:
    with pytest.raises(RecipeError, match=r"no home folder for the cache[\s\S]*SEA_CACHE"):
        cache_folder()
    assert invoke("list-plugins").exit_code == 0
    result = invoke("models", "list")
    assert isinstance(result.exception, SystemExit)
    assert "no home folder for the cache" in result.stdout


@pytest.mark.parametrize("value", [NOBODY, LONG])
def test_a_cache_that_is_no_path_is_told_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SEA_CACHE", value)
    assert invoke("list-plugins").exit_code == 0
    assert "SEA_CACHE is" in invoke("models", "list").stdout
    monkeypatch.setenv("SEA_CACHE", "")  # as if it were not set
    assert cache_folder().name == "sea-toolkit"
