"""`sea-toolkit calibrate`: a table for people, JSON for programs, and a recipe that keeps the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke

RECIPE = """\
max_new_tokens = 8   # short

[policy]
model = "MODEL"

[[energies]]
name = "reference"

[[energies]]   # about this long
name   = "length"
target = 4
KEYS
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrate")
    tiny_model("llama").save_pretrained(path / "policy")
    tiny_tokenizer().save_pretrained(path / "policy")
    (path / "prompts.txt").write_text("the rain\na town\nthe sea\n", encoding="utf-8")
    return path


@pytest.fixture
def recipe(folder: Path, tmp_path: Path) -> Path:
    return written(folder, tmp_path, 'scale  = "base-std"')


def written(folder: Path, place: Path, keys: str) -> Path:
    path = place / "recipe.toml"
    path.write_text(RECIPE.replace("MODEL", str(folder / "policy")).replace("KEYS", keys), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return invoke("calibrate", *arguments, environment={"SEA_PLUGINS": ""})


def test_the_recipe_gets_the_numbers_and_a_run_uses_them(folder: Path, recipe: Path) -> None:
    before = recipe.read_text(encoding="utf-8")
    result = run(recipe, folder / "prompts.txt", "--samples", 8, "--limit", 2)
    assert result.exit_code == 0, result.output
    for words in (
        "8 base answers to each of 2 prompts",
        "energy −log π",
        "energy length",
        "wrote the table [calibration]",
    ):
        assert words in result.stdout
    assert recipe.read_text(encoding="utf-8").startswith(before + "\n[calibration]\n")
    table = Recipe.load(recipe).calibration
    assert table is not None
    assert (table.prompts, table.samples, list(table.terms)) == (2, 8, ["length"])
    command = ["align", "the rain", "--recipe", str(recipe), "--sampler", "best-of-n", "--budget", "4", "--json"]
    aligned = json.loads(invoke(*command, environment={"SEA_PLUGINS": ""}).stdout)
    assert aligned["scales"] == {"length": table.terms["length"].deviation}
    assert not any("measured" in note for note in aligned["notes"])


def test_a_look_ahead_measures_scales_as_a_run_does(recipe: Path) -> None:
    command = ["align", "the rain", "--recipe", str(recipe), "--budget", "64", "--dry-run", "--json"]
    found = json.loads(invoke(*command, environment={"SEA_PLUGINS": ""}).stdout)
    (note,) = (n for n in found["notes"] if n.startswith("scales measured on 13 base answers"))
    scale = float(note.split("length ")[1].split(";")[0])
    assert found["terms"][1]["weight"] == pytest.approx(1.0 / scale, rel=1e-3)


def test_json_and_another_file(folder: Path, tmp_path: Path) -> None:
    recipe = written(folder, tmp_path, "want   = 0.7")
    before = recipe.read_text(encoding="utf-8")
    result = run(recipe, folder / "prompts.txt", "--samples", 16, "--seed", 3, "--out", tmp_path / "out.toml", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert recipe.read_text(encoding="utf-8") == before
    table = Recipe.load(tmp_path / "out.toml").calibration
    assert table is not None
    assert data["calibration"] == table.model_dump(exclude_none=True)
    assert (table.seed, table.terms["length"].want) == (3, 0.7)
    assert [term["label"] for term in data["terms"]] == ["reference", "length"]
    assert data["effective"] > 4
    shown = run(recipe, folder / "prompts.txt", "--samples", 16, "--seed", 3, "--out", tmp_path / "out.toml").stdout
    assert "the weights lead length to its quantile 0.7" in shown


def test_a_recipe_that_asks_for_nothing_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    recipe = written(folder, tmp_path, "")
    before = recipe.read_text(encoding="utf-8")
    result = run(recipe, folder / "prompts.txt", "--samples", 4)
    assert result.exit_code == 0, result.output
    assert "no term asks for a number" in result.stdout
    assert recipe.read_text(encoding="utf-8") == before


def test_mistakes_are_told_before_anything_is_loaded(folder: Path, recipe: Path, tmp_path: Path) -> None:
    prompts = folder / "prompts.txt"
    for arguments, said in (
        ((recipe, tmp_path / "none.txt"), "none.txt"),
        ((tmp_path / "none.toml", prompts), "none.toml"),
        ((recipe, prompts, "--out", tmp_path / "out.json"), "cannot be written"),
        ((recipe, prompts, "--samples", 1), "--samples"),
        ((written(folder, tmp_path, "want = 2"), prompts), "energies[1].want is 2"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert "Traceback" not in result.stderr
