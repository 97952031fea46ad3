"""What a recipe holds has bounds, and what Python gives in its place is taken for what it is."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sea_toolkit.api import resume
from sea_toolkit.errors import LONGEST, RecipeError, did_you_mean
from sea_toolkit.models.from_pretrained import explained
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.recipe import Recipe
from tests.cli.commands import invoke

LENGTH = {"name": "length", "target": 3}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if levels % 2 else {"a": value}
    return value


def cyclic() -> dict[str, Any]:
    table: dict[str, Any] = {}
    table["again"] = table
    return table


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"seed": -1}, "seed is -1"),
        ({"sampler": {"chains": 10**25}}, "sampler.chains is"),
        ({"sampler": {"chains": 2_000_000}}, "less than or equal to 65536"),
        ({"sampler": {"steps": 10**20}}, "sampler.steps is"),
        ({"sampler": {"budget": float("inf")}}, "sampler.budget is inf"),
        ({"max_new_tokens": 10**12}, "max_new_tokens is"),
        ({"rewrite": {"samples": 10**9}}, "rewrite.samples is"),
        ({"energies": [LENGTH | {"weight": float("nan")}]}, "weight is nan"),
        ({"energies": [LENGTH | {"x": nested(101)}]}, "nested too deep"),
        ({"energies": [LENGTH | {"x": nested(2000)}]}, "nested too deep"),
        ({"energies": [cyclic()]}, "nested too deep"),
        ({f"key{i}": 1 for i in range(600_000)}, "has 600000 keys"),
        ({"energies": [{f"key{i}": 1 for i in range(20_000)}]}, "entry 1 of energies of the recipe has 20000 keys"),
        ({"n" * 10**7: 1}, "unknown key"),
        ({"policy": {"dtype": "n" * 10**7}}, "policy.dtype is"),
        ({"policy": {"n" * 10**7: 1}}, "unknown key"),
    ],
)
def test_numbers_depth_and_size_are_bounded_and_the_message_is_short(data: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        Recipe.parse(data)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 3 * LONGEST


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "x = " + "[" * 50_000, "nested too deep"),
        ("a.toml", "x = " + "[" * 200 + "]" * 200, "nested too deep"),
        ("a.toml", "a." * 50_000 + "b = 1", "too many parts"),
        ("a.toml", "x = {" + '"a" . ' * 50_000 + "b = 1}", "too many parts"),
        ("a.toml", "seed = " + "9" * 5000, "is not TOML"),
        ("a.toml", "seed = = 4", "is not TOML"),
        ("a.toml", b"\xff\xfes\0".decode("latin-1"), "zero byte"),
        ("a.json", "[" * 50_000, "no recipe.json of a run: it is nested too deep"),
        ("a.json", '{"recipe": {"x": ' + "[" * 900 + "]" * 900 + "}}", "nested too deep"),
        ("a.json", "[1]", "no recipe.json of a run"),
        ("a.json", '{"recipe": 3}', "its recipe is a int"),
        ("a.json", "{", "no recipe.json of a run"),
        ("a.json", '{"recipe": {"seed": 1, "seed": 2}}', "the key 'seed' is there twice"),
    ],
)
def test_a_file_that_is_no_recipe_says_why(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as refused:
        Recipe.load(tmp_path / name)
    assert words in str(refused.value)


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 4\n", encoding="utf-8-sig")
    (tmp_path / "a.json").write_text(json.dumps({"recipe": {"seed": 4}}), encoding="utf-8-sig")
    assert Recipe.load(tmp_path / "a.toml").seed == Recipe.load(tmp_path / "a.json").seed == 4


def test_numbers_of_numpy_paths_and_names_of_torch_are_taken() -> None:
    settings = {
        "seed": np.int64(3), "max_new_tokens": np.int32(7), "budget": np.float32(8), "chains": np.uint8(2),
        "model": Path("a") / "b", "dtype": torch.float32, "device": torch.device("cpu"), "draft": np.str_("Hi"),
    }  # fmt: skip
    terms = [{"name": "keywords", "words": np.array(["a", "b"]), "weight": np.float64(2), "inflect": np.bool_(True)}]
    recipe = build_recipe(None, None, settings, terms=terms)
    assert (recipe.seed, recipe.max_new_tokens, recipe.sampler.budget, recipe.sampler.chains) == (3, 7, 8.0, 2)
    assert (recipe.policy.model, recipe.policy.dtype, recipe.policy.device) == (str(Path("a/b")), "float32", "cpu")
    assert recipe.energies[1].options == {"words": ["a", "b"], "inflect": True}
    assert recipe.initializer.options == {"text": "Hi"}
    json.dumps(recipe.model_dump())
    for wrong in ({"dtype": torch.int8}, {"seed": np.float64(3)}, {"seed": np.bool_(True)}, {"model": 3}):
        with pytest.raises(RecipeError):
            build_recipe(None, None, wrong)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed", "18446744073709551616"), ("--chains", "9999999999999999999999999"), ("--device", "meta"),
        ("--energy", "length=1e400,target=3"), ("--set", f"{'n' * 100_000}=1"), ("--energy", "n" * 100_000),
        ("--sampler", "n" * 100_000), ("--dtype", "float8"), ("--csv", "."), ("--set", "seed=1", "--set", "seed=1"),
        ("--set", "sampler.steps=1", "--set", "sampler={name=sea}"),
    ],
)  # fmt: skip
def test_odd_flags_are_refused_in_words(arguments: tuple[str, ...]) -> None:
    result = invoke("align", "hi", "--energy", "length,target=3", *arguments)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2, result.output
    assert len(result.output) < 3 * LONGEST


@pytest.mark.parametrize(
    ("length", "words"),
    [
        ({"steps": 0}, "steps is 0"), ({"steps": 10**20}, "steps is 100000000000000000000"), ({"budget": -1}, "is -1"),
        ({"budget": float("nan")}, "is nan"), ({"budget": float("inf")}, "is inf"), ({"budget": 1e300}, "is 1e+300"),
        ({"steps": 3, "budget": 4.0}, "steps = 3 and budget = 4.0"),
    ],
)  # fmt: skip
def test_a_run_is_prolonged_within_the_bounds_of_a_recipe(length: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        resume(tmp_path, **length)
    assert words in str(refused.value)


def test_no_name_takes_long_to_be_compared() -> None:
    assert did_you_mean("seeed" + "x" * 10**7, ["seed"])


def test_python_without_docstrings_is_named_and_not_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = types.SimpleNamespace(flags=types.SimpleNamespace(optimize=2), modules=sys.modules)
    monkeypatch.setattr("sea_toolkit.models.from_pretrained.sys", system)
    assert "PYTHONOPTIMIZE" in str(explained(ValueError("No `Args` section"), tmp_path, "m"))
