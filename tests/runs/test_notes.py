"""What is said of an outcome: a reward that fell, an answer that stayed or was cut, a wish that is not met."""

from __future__ import annotations

import json
import random

import pytest

from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explain import differences, reason, weight_that_keeps
from sea_toolkit.runs.notes import Conduct, Outcome, notes_on
from sea_toolkit.util.wording import counted, rounded_up
from tests.helpers import run_for

WEIGHTS = {"reference": 1.0, "joy": 4.0, "keywords": 10.0}


def text(name: str, reference: float, joy: float, keywords: float = 0.0, *, finished: bool = True) -> Candidate:
    """A candidate by its −log π, its reward and its missing words."""
    terms = {"reference": reference, "joy": -joy, "keywords": keywords}
    energy = sum(WEIGHTS[k] * v for k, v in terms.items())
    return Candidate(name, energy, terms, 9, finished, 0, 1, 2 if finished else -1)


def conduct(**more) -> Conduct:
    given = {"sampler": "tilted", "options": ["strength"], "steps": 6, "budget": 32.0, "spent": 30.0, "chains": 4}
    return Conduct(**{**given, "length": 48, "draws": False, "done": True, **more})


def notes(*candidates: Candidate, unmet=None, accepted=3, moves=True, **more) -> list[str]:
    """Notes on a run that began with the first text."""
    ranked = sorted(candidates, key=lambda c: c.energy)
    outcome = Outcome(candidates[0], ranked[0], ranked, len(candidates), WEIGHTS, ["joy"], unmet or {}, accepted, moves)
    return notes_on(outcome, conduct(**more))


def test_a_reward_that_fell_says_who_was_paid_and_which_weight_would_have_kept_it():
    base, won, near = text("base", 100, 6.73), text("won", 37, 5.06), text("near", 80, 6.8)
    (note,) = notes(base, won, near)
    assert note == (
        "the reward joy fell from 6.730 to 5.060: −log π paid 63 nats for it; a weight of about 25 (it is 4) would "
        "have kept it; a constraint with min = 6.73 asks for no less"
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_weight_is_the_least_that_turns_the_choice(sign):
    """Against a search over weights, on random candidates."""
    source = random.Random(0)
    for _ in range(50):
        met = [Candidate(str(i), source.gauss(0, 9), {"r": source.gauss(0, 2)}, 1, True, 0, 0) for i in range(9)]
        limit = met[0].terms["r"]

        def kept(value: float, limit: float = limit) -> bool:
            return sign * value <= sign * limit

        weight = weight_that_keeps(met, {"r": 2.0 * sign}, "r", kept)
        assert weight is not None
        assert weight * sign >= 2.0

        def wins(weight: float, met=met, kept=kept) -> bool:
            return kept(min(met, key=lambda c: c.energy + (weight - 2.0 * sign) * c.terms["r"]).terms["r"])

        assert wins(weight + sign * 1e-6)
        assert abs(weight) < 2.21 or not wins(weight * 0.9)


def test_no_weight_keeps_what_was_never_met():
    assert weight_that_keeps([text("a", 1, 1, 2.0)], WEIGHTS, "keywords", lambda t: t <= 0) is None
    assert weight_that_keeps([text("a", 1, 1), text("b", 1, 1, 1.0)], WEIGHTS, "keywords", lambda t: t <= 0) == 10


def test_a_reward_that_rose_is_no_news():
    assert notes(text("base", 100, 1), text("won", 90, 2)) == []
    assert notes(text("base", 100, 1), text("won", 90, 1)) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "unchanged: 6 steps met 1 other text, none of a lower energy; a larger budget (it is 32)"),
        ({"steps": 1, "budget": None}, "unchanged: 1 step met 1 other text, none of a lower energy; more steps meets"),
        ({"steps": 0, "draws": True, "accepted": None}, "unchanged: 1 other text, none of a lower energy"),
        ({"accepted": 0}, "unchanged: tilted rejected every proposal of all chains in 6 steps: smaller weights would"),
        ({"accepted": 0, "steps": 1}, "in 1 step: too few to tell why; a larger budget (it is 32) would tell"),
    ],
)
def test_a_run_that_moved_nothing_says_why_and_what_to_raise(more, words):
    (note,) = notes(text("base", 50, 2), text("worse", 90, 2), **more)
    assert words in note
    assert "step size" not in note


@pytest.mark.parametrize("more", [{"done": False}, {"steps": 0}])
def test_an_interrupted_run_and_one_without_a_step_are_not_called_unchanged(more):
    assert notes(text("base", 50, 2), text("worse", 90, 2), **more) == []


def test_where_all_chains_stopped_no_hint_contradicts_it():
    assert notes(text("base", 100, 1), accepted=0, moves=False) == []
    settings = {"prompts": ["the rain", "a"], "sampler": "suffix-mh", "steps": 1, "max_new_tokens": 4}
    energies = {"m": (1.0, lambda prompts, texts: [float("nan") if p == "a" else 1.0 for p in prompts])}
    results = run_for(energies=energies, **settings).execute()
    assert not [n for n in results[1].notes if "unchanged" in n or "rejected" in n]
    assert "prompt 2, all its chains stopped: energy 'm' was not finite at step 0" in results[0].notes


def test_an_empty_answer_and_a_reward_that_decides_nothing_are_said():
    assert notes(text("base", 10, 1), text(" ", 5, 1)) == [
        "the answer is empty: it ends at once; the energy 'length' asks for a longer one"
    ]
    assert notes(*(text(str(i), 10 - i, 1) for i in range(4))) == [
        "the reward joy is 1 for each of the best 4 texts: it decided nothing"
    ]
    assert notes(*(text(str(i), 10 - i, 1 + i) for i in range(4))) == []


def test_an_answer_that_was_cut_is_counted():
    (note,) = notes(text("base", 90, 1), text("won", 50, 2, finished=False))
    assert note.startswith("the answer is cut at 48 tokens, 1 of 2 candidates ended by themselves; a larger max_new")


def test_what_is_not_met_has_the_weight_that_would_have_met_it():
    base, won, both = text("base", 90, 2, 2), text("won", 50, 2, 1), text("both", 72, 2, 0)
    (note,) = notes(base, won, both, unmet={"keywords": "without 'sorry'"})
    assert note == "unmet: keywords: without 'sorry'; a weight of about 22 (it is 10) would have met it"
    (note,) = notes(base, won, unmet={"keywords": "without 'sorry'"})
    assert note.endswith("no text that was met does better; a larger budget meets more")


def test_why_another_text_was_not_taken():
    won, both = text("won", 50, 2, 1), text("both", 72, 2.5, 0)
    assert differences(WEIGHTS, won, both) == {"reference": 22.0, "keywords": -10.0, "joy": -2.0}
    assert reason(WEIGHTS, won, both) == "+10.0: −log π +22.0; though keywords -10.0, joy -2.0"


def test_numbers_in_sentences():
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    assert [rounded_up(x) for x in (0.0, 3.72, 38, 381, 0.0123, 4.0)] == [0.0, 3.8, 38, 390, 0.013, 4.0]


def test_all_of_it_is_in_the_result_of_a_run():
    """Words and their absence are named, contributions add up to the change of the energy, ends are counted."""
    terms = [{"name": "keywords", "words": ["rain", "zebra"], "weight": 50.0}, {"name": "finished", "weight": 3.0}]
    recipe = {"energies": [{"name": "reference"}, *terms], "constraints": [{"name": "length", "target": 3, "max": 0.1}]}
    run = run_for(recipe=recipe, energies={}, sampler="best-of-n", budget=8, max_new_tokens=6, chains=4)
    for result in run.execute():
        data = json.loads(result.to_json())
        assert data["unmet"]["keywords"] == result.unmet["keywords"]
        assert "'zebra'" in result.unmet["keywords"]
        assert ("length limit" in result.unmet) == (result.terms["length limit"][1] > 0.1) == (not result.kept)
        assert any(n.startswith("unmet: keywords: without ") for n in data["notes"])
        assert sum(result.contributions.values()) == pytest.approx(result.energy[1] - result.energy[0], abs=1e-3)
        ended = sum(c.finished for c in result.candidates)
        assert data["candidates_finished"] == {"finished": ended, "of": len(result.candidates)}
        assert data["finished"]["after"] == result.candidates[0].finished == (result.terms["finished"][1] == 0)
        assert data["met"] == 8
