"""Choosing a text of a front."""

from __future__ import annotations

import pytest

from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.front import Front
from sea_toolkit.evaluation.picks import Condition, read_rule

LABELS = ["sentiment", "length"]


def test_conditions_are_joined_and_the_weights_are_equal_without_a_word() -> None:
    rule = read_rule(["length <= 20", "sentiment >= −1.5"], LABELS)
    assert rule.conditions == (Condition("length", True, 20.0), Condition("sentiment", False, -1.5))
    assert rule.weights == (0.5, 0.5)
    assert read_rule(["length<3", "knee"], LABELS).weights is None
    assert read_rule([(1, 3)], LABELS).weights == read_rule(["1,3"], LABELS).weights == (0.25, 0.75)
    assert str(rule) == "length <= 20 and sentiment >= -1.5 and best for the weights 0.5,0.5"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["knee", "1,1"], "two ways"),
        (["lenght <= 3"], "'lenght' is no objective"),
        (["length <= many"], "LABEL <= NUMBER"),
        (["length <= 3", "length >= 5"], "exclude each other"),
        (["0,0"], "all 0"),
        (["best"], "knee, a condition"),
        (["1,2,3"], "3 numbers for 2"),
        ([7], "knee, a condition"),
    ],
)
def test_what_is_no_rule_is_refused(asked: list[object], words: str) -> None:
    with pytest.raises(RecipeError) as raised:
        read_rule(asked, LABELS)
    assert words in str(raised.value)


def test_a_picked_text_holds_the_conditions_and_is_the_best_of_those(front: Front) -> None:
    bound = sorted(t["values"]["length"] for e in front.data()["fronts"] for t in e["texts"])[2]
    for pick, found in zip(front.pick(f"length <= {bound}", "1,0"), front.numbers.fronts, strict=True):
        holding = [text for text in found["sweep"].texts if text.terms["length"] <= bound]
        assert (pick.text is None) == (not holding)
        if holding:
            assert pick.values["length"] <= bound
            assert pick.text in [text.text for text in holding]


def test_a_prompt_without_such_a_text_says_what_comes_nearest(front: Front) -> None:
    lowest = [min(t["values"]["length"] for t in e["texts"]) for e in front.data()["fronts"]]
    warmest = [min(t["values"]["warmth"] for t in e["texts"]) for e in front.data()["fronts"]]
    for label, values in (("length", lowest), ("warmth", warmest)):
        if len(set(values)) > 1:
            picks = front.pick(f"{label} <= {min(values)}")
            without = [pick for pick in picks if pick.text is None]
            assert without
            assert all(f"no text that was met has {label} <=" in pick.note for pick in without)
    with pytest.raises(RecipeError, match=r"no text that was met has length <= -1; the nearest has length"):
        front.pick("length <= -1")


def test_a_method_that_was_not_run_has_nothing_to_pick(front: Front) -> None:
    assert len(front.pick("knee", method="best-of-n")) == 3
    with pytest.raises(RecipeError, match="was not run"):
        front.pick("knee", method="tilted")
