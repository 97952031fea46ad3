"""`sea-toolkit serve`: what it offers and where, and what stands in the way of that, said before a model is loaded."""

from __future__ import annotations

import builtins
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sea_toolkit.cli.serve import KERNEL_CACHES
from tests.cli.commands import invoke

BRIEF = '[[energies]]\nname = "reference"\n\n[[energies]]\nname = "length"\ntarget = 5\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(package, reason=f"{package} is not installed (the extra serve)")
    (tmp_path / "brief.toml").write_text(BRIEF, encoding="utf-8")
    (tmp_path / "broken.toml").write_text("[[energies", encoding="utf-8")
    monkeypatch.setenv("SEA_PLUGINS", "")
    monkeypatch.delenv("SEA_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in KERNEL_CACHES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # what a command sets goes after the test
    return tmp_path


def serve(*arguments: str) -> Result:
    return invoke("serve", "--port", "0", *arguments)


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The server and its socket, instead of running it."""
    from sea_toolkit.serving.server import Server

    found: list[tuple[Any, Any]] = []

    def remember(server: Any, place: Any) -> None:
        found.append((server, place))
        place.close()

    monkeypatch.setattr(Server, "serve_on", remember)
    return found


def test_recipes_are_offered_by_their_names_with_the_options_over_them(served: list[tuple[Any, Any]]) -> None:
    done = serve("--recipe", "brief.toml", "--recipe", "keywords,words=[rain]", "--budget", "7", "--max-budget", "9",
                 "--model", "some/folder/my-model", "--allow-reward", "sentiment")  # fmt: skip
    assert done.exit_code == 0, done.output
    menu = served[0][0].worker.engine.menu
    assert menu.models == ["my-model", "my-model+brief", "my-model+keywords"]
    assert menu.default == "brief"
    assert {recipe.sampler.budget for recipe in menu.recipes.values()} == {7.0}
    assert menu.limits.budget == 9.0
    assert menu.known_rewards == {"sentiment": "sentiment"}
    assert "http://127.0.0.1:" in done.output
    assert "my-model+brief" in done.output


def test_without_a_recipe_the_options_are_one(served: list[tuple[Any, Any]]) -> None:
    assert serve("--energy", "length=2,target=4", "--served-name", "small").exit_code == 0
    assert served[0][0].worker.engine.menu.models == ["small", "small+default"]


def test_kernels_are_kept_for_few_shapes_unless_the_user_says_otherwise(
    served: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    assert serve("--recipe", "brief.toml").exit_code == 0
    assert {name: os.environ[name] for name in KERNEL_CACHES} == {**KERNEL_CACHES, "LRU_CACHE_CAPACITY": "7"}


def test_another_host_takes_a_key_from_the_environment(
    served: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = serve("--recipe", "brief.toml", "--host", "0.0.0.0")
    assert (refused.exit_code, "there is no API key" in refused.output) == (2, True)
    monkeypatch.setenv("SEA_API_KEY", "secret")
    assert serve("--recipe", "brief.toml", "--host", "0.0.0.0").exit_code == 0
    assert "secret" not in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "broken.toml"], "not TOML"),
        (["--recipe", "nowhere.toml"], "nowhere.toml"),
        (["--recipe", "no-such-recipe"], "no-such-recipe"),
        (["--recipe", "brief.toml", "--recipe", "brief.toml"], "two recipes are called 'brief'"),
        (["--recipe", "brief.toml", "--host", "no.such.host.invalid", "--api-key", "k"], "no.such.host.invalid"),
        (["--energy", "lenght=2"], "length"),
        ([], "reference"),
    ],
)
def test_a_mistake_ends_with_2_before_anything_is_loaded(folder: Path, arguments: list[str], message: str) -> None:
    done = serve(*arguments)
    assert (done.exit_code, "Traceback" in done.output) == (2, False), done.output
    assert message in done.output


def test_recipes_with_policies_of_their_own_are_refused(folder: Path) -> None:
    (folder / "other.toml").write_text(BRIEF + '[policy]\nmodel = "another"\n', encoding="utf-8")
    done = serve("--recipe", "brief.toml", "--recipe", "other.toml")
    assert (done.exit_code, "'brief' and 'other' have policies of their own" in done.output) == (2, True)


def test_a_port_in_use_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("--recipe", "brief.toml", "--port", str(port))
    assert done.exit_code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.output


def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("sea_toolkit.serving")]:
        monkeypatch.delitem(sys.modules, name)
    usual = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return usual(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    done = serve("--recipe", "brief.toml")
    assert done.exit_code == 2
    assert "serve needs the package uvicorn" in done.output
    assert "pip install 'sea-alignment[serve]'" in done.output
