"""Why an answer won: shares that add up, the term that decided, and what each token is worth."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group

from sea_toolkit import api
from sea_toolkit.api import align
from sea_toolkit.cli.explanation import explained
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.runs.archive import Candidate
from sea_toolkit.runs.explanation import decide, explain
from sea_toolkit.runs.result import Result
from sea_toolkit.testing.tiny import tiny_policy, tiny_reward
from tests.cli.commands import invoke
from tests.helpers import hub

LIKED = list(range(20, 60))


def liked(response: SoftResponse) -> torch.Tensor:
    """Minus the expected number of tokens that are liked: linear in every token's probability."""
    return -response.probability(LIKED).sum((-1, -2))


def count(prompts: Any, texts: Any) -> list[float]:
    """Without a gradient."""
    return [float(len(text)) for text in texts]


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run(["the rain", "a town"], explain=True)


def run(prompts: Any, **more: Any) -> Any:
    settings = {
        "energies": {"liked": (3.0, liked), "reward": (1.0, tiny_reward()), "length": {"target": 4, "weight": 0.5}},
        "constraints": [{"name": "repetition", "max": 0.0}],
        "sampler": "tilted", "steps": 2, "chains": 3, "max_new_tokens": 6, "policy": tiny_policy(), "hub": hub(),
    }  # fmt: skip
    return align(prompts, **settings | more)


def test_the_shares_add_up(results: list[Result]) -> None:
    for result in results:
        why = result.explain()
        assert sum(t.nats for t in why.terms) == pytest.approx(result.energy[1] - result.energy[0], abs=1e-4)
        assert [abs(t.nats) for t in why.terms] == sorted((abs(t.nats) for t in why.terms), reverse=True)
        assert why.candidates[0].decision is None
        for share, candidate in zip(why.candidates, result.candidates, strict=False):
            assert sum(share.shares.values()) == pytest.approx(candidate.energy, abs=1e-4)
        assert set(why.limits) == {"repetition limit"}
        assert len(result.explain(top=2).candidates) == 2


def test_what_the_tokens_cost_adds_up_to_the_term(results: list[Result]) -> None:
    for result in results:
        for tokens, total in zip(result.tokens, result.terms["reference"], strict=True):
            assert -sum(t.log_prob for t in tokens) == pytest.approx(total, rel=1e-4)
        assert set(result.tokens[1][0].gains) == {"liked", "reward", "length"}


def test_a_token_gains_what_it_has_over_what_the_policy_would_write(results: list[Result]) -> None:
    """Of an energy that is linear in the probabilities: 3 · (whether it is liked − π of what is liked)."""
    policy, result = tiny_policy(), results[0]
    ids = policy.from_text([[result.response]], torch.tensor([[False]])).ids
    hidden = policy.predictors(policy.prefix(policy.encode([result.prompt], 6)), policy.backbone.embedding(ids))
    likes = policy.logits(hidden).softmax(-1)[0, 0][:, LIKED].sum(-1)
    for t, token in enumerate(result.tokens[1][: ids.shape[-1]]):
        expected = 3.0 * (float(int(ids[0, 0, t]) in LIKED) - float(likes[t]))
        assert token.gains["liked"] == pytest.approx(expected, abs=1e-4)


def test_the_tilted_policy_is_as_far_as_the_formula_says() -> None:
    """Tilted by 2 · (whether a token is liked) it has the norm Z = 1 + l · (e² − 1), with l = π of what is liked, and
    the KL 2 · l · e² / Z − log Z."""
    policy = tiny_policy()
    result = run("the rain", energies={"liked": (2.0, liked)}, constraints=None, explain=True)
    ids = policy.from_text([[result.response]], torch.tensor([[False]])).ids
    hidden = policy.predictors(policy.prefix(policy.encode([result.prompt], 6)), policy.backbone.embedding(ids))
    likes = policy.logits(hidden).softmax(-1)[0, 0][:, LIKED].sum(-1).double()
    norm = 1 + likes * (math.e**2 - 1)
    expected = 2 * likes * math.e**2 / norm - norm.log()
    found = [token.kl for token in result.tokens[1]][: len(expected)]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert max(found) > 0.1


def test_without_a_slope_there_is_no_tilted_policy() -> None:
    result = run("the rain", energies={"count": (1.0, count)}, constraints=None, sampler="best-of-n", explain=True)
    assert {(t.kl, len(t.gains)) for t in result.tokens[1]} == {(None, 0)}


def test_explaining_is_counted_and_changes_no_answer(results: list[Result]) -> None:
    plain = run(["the rain", "a town"])
    assert [r.response for r in plain] == [r.response for r in results]
    for told, untold in zip(results[0].tokens[1], plain[0].tokens[1], strict=True):
        assert untold == replace(told, gains={}, kl=None)
    assert results[0].ledger["samples_per_prompt"] > plain[0].ledger["samples_per_prompt"] + 1.0
    assert any("explaining the tokens took" in note for note in results[0].notes)


def _candidate(terms: dict[str, float], weights: dict[str, float], violation: float = 0.0) -> Candidate:
    energy = sum(weights[k] * v for k, v in terms.items())
    return Candidate(str(terms), energy, terms, 3, True, 0, 0, violations={"polite": violation})


NUMBERS = st.integers(-8, 8).map(float)


@given(st.lists(NUMBERS, min_size=3, max_size=3), st.lists(NUMBERS, min_size=3, max_size=3))
def test_what_decides_alone_would_not_have_been_chosen_without_it(one: list[float], other: list[float]) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": -0.5}
    first, second = sorted(
        (_candidate(dict(zip("abc", v, strict=True)), weights) for v in (one, other)), key=lambda c: c.rank
    )
    decision = decide(weights, first, second)
    gaps = {k: w * (second.terms[k] - first.terms[k]) for k, w in weights.items()}
    if decision.by is None:
        assert max(gaps.values()) <= 0
        return
    assert decision.nats == pytest.approx(max(gaps.values()))
    assert decision.alone == (sum(gaps.values()) - gaps[decision.by] < 0)
    assert not decision.is_limit


def test_a_limit_decides_before_all_terms() -> None:
    weights = {"a": 1.0}
    decision = decide(weights, _candidate({"a": 9.0}, weights), _candidate({"a": 0.0}, weights, violation=0.5))
    assert (decision.by, decision.is_limit, decision.nats, decision.alone) == ("polite", True, 0.5, True)


def test_an_unchanged_answer_and_a_single_text_have_a_reason_too() -> None:
    result = run("the rain", sampler="best-of-n", steps=None, budget=1, chains=1)
    why = result.explain()
    assert (why.same, why.runner_up, why.over_start) == (True, None, None)
    assert "began with" in str(why)


def test_it_is_kept_in_the_folder_and_shown_from_there(tmp_path: Any, results: list[Result]) -> None:
    kept = run(["the rain", "a town"], explain=True, out=tmp_path / "run")
    again = api.resume(
        tmp_path / "run",
        energies={"liked": (3.0, liked), "reward": (1.0, tiny_reward()), "length": {"target": 4, "weight": 0.5}},
    )
    assert again == kept
    shown = invoke("show", tmp_path / "run", "--explain", "--json")
    (first, _) = json.loads(shown.output)["results"]
    assert first["tokens"]["after"][0]["gains"].keys() == {"liked", "reward", "length"}
    assert first["explanation"]["runner_up"]["by"] in {"liked", "reward", "length", "reference", "repetition limit"}
    assert Result.from_data(json.loads(kept[0].to_json())) == kept[0]


def test_it_prints_safely_with_and_without_color(results: list[Result]) -> None:
    evil = "\x1b[2Jpwned\x07"
    token = replace(results[0].tokens[1][0], text=evil)
    worst = replace(results[0].candidates[1], text=evil)
    result = replace(
        results[0], tokens=([token], [token]), candidates=[results[0].candidates[0], worst], base_response=evil
    )  # fmt: skip
    for color in (True, False):
        console = Console(
            width=100, file=io.StringIO(), force_terminal=color, color_system="standard" if color else None
        )
        console.print(Group(*explained(result.explain(), color)))
        printed = console.file.getvalue()
        assert "\x1b[2J" not in printed
        assert "\x07" not in printed
        assert "decided" in printed
        assert ("\x1b[" in printed) == color
        assert ("gain liked" in printed) != color


def test_a_dry_run_has_nothing_to_explain() -> None:
    result = invoke("align", "a", "--reward", "sentiment", "--dry-run", "--explain")
    assert (result.exit_code, "finds no answer to explain" in result.output) == (2, True)


def test_a_joint_energy_is_explained(results: list[Result]) -> None:
    energies = {"diversity": {"weight": 2.0}}
    result = run("the rain", energies=energies, constraints=None, sampler="sea", chains=3, explain=True)
    assert explain(result).terms
    assert len(result.tokens[1]) >= 1
