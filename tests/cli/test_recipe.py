"""`sea-toolkit recipe`: what it lists, shows and checks, and how it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke

RECIPE = """
max_new_tokens = 6
sampler = { name = "tilted", steps = 2, chains = 2 }
policy = { model = "POLICY", template = "plain" }

[[energies]]
name = "reference"

[[energies]]
name = "length"

[options]
tokens = { sets = "energies.1.target", help = "how long" }
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and a policy without weights."""
    path = tmp_path_factory.mktemp("recipe")
    tiny_model("llama").save_pretrained(path / "policy")
    tiny_tokenizer().save_pretrained(path / "policy")
    (path / "policy" / "model.safetensors").unlink()
    (path / "r.toml").write_text(RECIPE.replace("POLICY", str(path / "policy")))
    return path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("SEA_PLUGINS", "")
    monkeypatch.chdir(here)


def run(*arguments: str) -> Result:
    return invoke("recipe", *arguments)


def test_list() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert {row["name"] for row in rows} >= {"positive", "detox", "helpful-harmless"}
    assert {row["state"] for row in rows} == {"built-in"}
    shown = run("list").stdout
    assert "Toxicity below a limit" in shown


def test_a_broken_plugin_is_told_beside_the_list(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nowhere_at_all\n")
    done = run("list", "--plugin", str(tmp_path / "bad.py"))
    assert done.exit_code == 0
    assert "positive" in done.stdout
    assert "broken: ModuleNotFoundError" in done.stdout


def test_show_prints_a_recipe_that_runs_as_the_same() -> None:
    done = run("show", "r.toml,tokens=4", "--set", "seed=3")
    assert done.exit_code == 0, done.output
    data = tomllib.loads(done.stdout)
    recipe = Recipe.parse(data)
    assert (recipe.seed, recipe.energies[1].options["target"], recipe.sampler.options["strength"]) == (3, 4, 4.0)
    (Path.cwd() / "again.toml").write_text(done.stdout)
    assert json.loads(run("show", "again.toml", "--json").stdout) == data


def test_check_tells_cost_and_contradictions() -> None:
    asked = ("r.toml,tokens=40", "--prompts", "3", "--prompt-tokens", "5")
    found = json.loads(run("check", *asked, "--json").stdout)
    assert (found["prompts"], found["steps"], found["sampler"]) == (3, 2, "tilted")
    assert found["flops_per_step"] == pytest.approx(found["per_step"] * found["sample_flops"] * 3)
    assert found["memory"]["peak"] > found["memory"]["weights"] > 0
    assert len(found["contradictions"]) == 1
    shown = run("check", *asked)
    assert shown.exit_code == 0
    for words in (
        "length     yes",
        "sampler tilted: the recipe names it",
        "contradiction: length wants 40 tokens",
        "MiB",
    ):
        assert words in shown.stdout


REFUSED = {
    ("check", "r.toml"): (2, "needs tokens (how long)"),
    ("check", "r.tml"): (2, "recipe 'r.tml' does not exist"),
    ("show", "r.toml,tokns=3"): (2, "did you mean 'tokens'?"),
    ("check", "r.toml,tokens=4", "--set", "sampler.strenth=1"): (2, "did you mean 'strength'?"),
    ("check", "r.toml,tokens=4", "--set", "policy.model=./nowhere"): (1, "there is no model at nowhere"),
}


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_is_refused(arguments: tuple[str, ...]) -> None:
    code, message = REFUSED[arguments]
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, ""), done.output
    assert message in done.stderr
    assert "Traceback" not in done.stderr
