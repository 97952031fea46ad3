"""The verifiers of mathematics, in threads too, and where math-verify is not installed."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import pytest

import sea_toolkit as sea
from sea_toolkit.integrations import math_verify
from tests.helpers import tiny_policy

HERE = importlib.util.find_spec("math_verify") is not None
needs = pytest.mark.skipif(not HERE, reason="math-verify is not installed")

NUMBERS = [("It costs 1,234 dollars.", "a #### 1234", 1.0), ("It is 5", "#### 6", 0.0), ("0.5 of it", "1/2", 1.0)]
BOXED = [
    (r"thus \boxed{\frac{1}{2}}", r"so $\boxed{0.5}$", 1.0),
    (r"the point \boxed{(1,2)}", r"\boxed{(1,2)}", 1.0),
    ("nothing", r"\boxed{7}", 0.0),
]


@needs
def test_answers_are_compared_as_mathematics_in_several_threads():
    def ask(function, column, rows):
        return function([text for text, _, _ in rows], **{column: [gold for _, gold, _ in rows]})

    calls = [(math_verify.gsm8k, "answer", NUMBERS), (math_verify.math, "solution", BOXED)] * 2
    math_verify._is_equal.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda call: ask(*call), calls))
    assert found == [[value for _, _, value in rows] for _, _, rows in calls]


@needs
def test_what_takes_for_ever_counts_as_wrong_and_the_next_one_is_read(monkeypatch):
    monkeypatch.setattr(math_verify, "SECONDS", 1.0)
    assert math_verify.math([r"$9^{9^{9^{9}}}$", r"\boxed{3}"], [r"\boxed{3}"] * 2) == [0.0, 1.0]


@needs
def test_a_solution_without_an_expression_is_the_users_mistake():
    with pytest.raises(sea.RecipeError, match="cannot be read"):
        math_verify.math(["5"], [""])


@needs
def test_a_run_takes_its_solutions_from_the_column():
    name = "sea_toolkit.integrations.math_verify:gsm8k"
    recipe = {"energies": [{"name": "reference"}, {"name": "verifier", "function": name, "weight": 4.0}]}
    settings = {"policy": tiny_policy(), "max_new_tokens": 3, "budget": 4, "allow_code": [name]}
    result = sea.align({"prompt": "the rain", "answer": "#### 4"}, recipe=recipe, **settings)
    assert set(result.rewards) == {"gsm8k"}
    with pytest.raises(sea.RecipeError, match="answer"):
        sea.align("the rain", recipe=recipe, **settings)


def test_the_missing_package_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "math_verify" else find(n, *a))
    monkeypatch.setattr(math_verify, "_PROCESS", math_verify._Process())
    math_verify._is_equal.cache_clear()
    with pytest.raises(sea.RecipeError, match=r"sea-alignment\[math\]"):
        math_verify.gsm8k(["5"], ["5"])
