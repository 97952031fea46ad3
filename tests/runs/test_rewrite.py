"""The post-step `rewrite`: rewrites compete on the original prompt, are paid for, and move nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import sea_toolkit.runs.run
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.nested_budgets import BudgetedRun
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.recipe import Recipe, RewriteSpec
from sea_toolkit.runs.rewrite import CHAIN, ask, rewrite
from sea_toolkit.runs.run import Interrupted
from sea_toolkit.util.conversation import Message, Prompt
from tests.evaluation.test_compare import probe_file
from tests.evaluation.test_compare import run as compare
from tests.helpers import PROMPTS, problem_for, run_for, tiny_policy
from tests.runs.test_resume import assert_same

SHORT = {"samples": 3, "prompt": "again: {response} for {prompt}"}
"""The default request is longer than a tiny model's context allows for."""


def results(**more: Any) -> list[Any]:
    return run_for(sampler="suffix-mh", steps=3, max_new_tokens=6, **more).execute()


def test_it_is_off_by_default() -> None:
    assert Recipe().rewrite is None
    assert all(c.chain != CHAIN for r in results() for c in r.candidates)


def test_rewrites_compete_and_nothing_else_moves() -> None:
    without, with_rewrites = results(), results(rewrite=SHORT)
    for a, b in zip(without, with_rewrites, strict=True):
        rewrites = [c for c in b.candidates if c.chain == CHAIN]
        assert 1 <= len(rewrites) <= 3
        assert [c for c in b.candidates if c.chain != CHAIN] == a.candidates
        assert b.response == min(b.candidates, key=lambda c: c.energy).text
        assert b.chains == a.chains


def test_they_are_scored_as_answers_to_the_original_prompt() -> None:
    policy, compared = tiny_policy(), 0
    for p, result in enumerate(results(rewrite=SHORT)):
        prefix = policy.prefix(policy.encode([PROMPTS[p]], 6))
        for c in result.candidates:
            if c.chain != CHAIN:
                continue
            response = policy.from_text([[c.text]], torch.tensor([[c.finished]]))
            if not c.finished and response.shape[2] < 6:  # special tokens that nobody reads are charged too
                continue
            compared += 1
            log_prob = torch.where(response.alive > 0, policy.log_prob(prefix, response.ids), 0.0).sum()
            assert c.terms["reference"] == pytest.approx(-float(log_prob), abs=1e-3)
            assert c.energy == pytest.approx(c.terms["reference"] + 4 * c.terms["warmth"], abs=1e-3)
    assert compared >= 4


def test_they_win_where_they_are_better() -> None:
    """The policy alone prefers a rewrite now and then: some prompt's answer is one."""
    found = [r for seed in range(4) for r in results(rewrite={**SHORT, "samples": 12}, seed=seed)]
    assert any(r.candidates[0].chain == CHAIN and r.response == r.candidates[0].text for r in found)


def test_they_are_in_the_ledger() -> None:
    plain, more = results()[0].ledger, results(rewrite=SHORT)[0].ledger
    # 2 prompts × 3 rewrites × at least one token, the requests, and scoring them
    assert more["models"]["policy"]["forward"] > plain["models"]["policy"]["forward"] + 2 * 3
    assert more["decode_steps"] > plain["decode_steps"]
    assert more["samples_per_prompt"] > plain["samples_per_prompt"]


def test_a_prompt_has_the_same_rewrites_in_any_company() -> None:
    alone = problem_for(prompts=PROMPTS[:1], max_new_tokens=6)
    both = problem_for(prompts=PROMPTS[:2], max_new_tokens=6)
    one = rewrite(alone, ["the end"], RewriteSpec(**SHORT), 5)
    two = rewrite(both, ["the end", "no"], RewriteSpec(**SHORT), 5)
    other = rewrite(alone, ["the end"], RewriteSpec(**SHORT), 6)
    assert one is not None
    assert two is not None
    assert other is not None
    assert one.texts[0] == two.texts[0] != other.texts[0]
    torch.testing.assert_close(one.energies.total[0], two.energies.total[0], atol=1e-4, rtol=1e-4)


def test_placeholders_in_the_texts_stay_as_they_are() -> None:
    spec = RewriteSpec(prompt="{response} / {prompt} / {other}")
    assert ask(spec, "say {response}", "a {prompt}") == "a {prompt} / say {response} / {other}"


def test_a_request_is_the_last_turn_of_the_conversation() -> None:
    turns = [
        Message("system", "a b"),
        Message("user", "on?"),
        Message("assistant", "it is"),
        Message("user", "the rain"),
    ]
    request = ask(RewriteSpec(**SHORT), Prompt("the rain", turns), "in")
    assert request.messages == (*turns[:3], Message("user", "again: in for the rain"))
    (result,) = results(prompts=[Prompt("the rain", turns)], rewrite=SHORT)
    assert any(c.chain == CHAIN for c in result.candidates)


def test_a_request_that_does_not_fit_is_a_note_and_not_the_end() -> None:
    (first, _) = results(rewrite={"prompt": "word " * 600 + "{response}"})
    assert first.status == "done"
    assert any("no rewrites" in note and "tokens" in note for note in first.notes)
    assert first.candidates == results()[0].candidates


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample": 3}, "did you mean 'samples'"),
        ({"samples": 0}, "greater than 0"),
        ({"prompt": "rewrite this"}, "response"),
        ("yes", "rewrite is 'yes'"),
    ],
)
def test_mistakes_in_the_recipe(given: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.parse({"rewrite": given})


def test_a_number_stands_for_that_many_and_keeps_the_request_of_the_recipe() -> None:
    base = {"rewrite": {"prompt": "again {response}"}, "energies": [{"name": "length", "target": 4.0}]}
    assert build_recipe(base, None, {"rewrite": 2}).rewrite == RewriteSpec(samples=2, prompt="again {response}")
    assert build_recipe(None, None, {"rewrite": 2}).rewrite == RewriteSpec(samples=2)


def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"sampler": "suffix-mh", "steps": 4, "rewrite": SHORT}
    run_for(tmp_path / "whole", **settings).execute()
    trace = [json.loads(line) for line in (tmp_path / "whole" / "trace.jsonl").read_text().splitlines()]
    assert len(trace[-1]["rewrites"]) == 2
    plain = sea_toolkit.runs.run.rewrite

    def interrupted(*given: Any) -> Any:
        plain(*given)  # it has been paid for already
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sea_toolkit.runs.run, "rewrite", interrupted)
        with pytest.raises(Interrupted):
            run_for(tmp_path / "cut", **settings).execute()
    again = run_for(tmp_path / "cut", **settings)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_comparison_gives_it_to_every_method(monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[float] = []
    plain = BudgetedRun.execute
    monkeypatch.setattr(BudgetedRun, "execute", lambda self: (own.append(self.own), plain(self))[1])
    report = compare("best-of-n,suffix-mh", [4, 8], rewrite=SHORT, prompts=PROMPTS[:2], options={})
    assert own == [8, 4, 8, 4]  # the rewrites of a smaller budget are others
    without = compare("best-of-n,suffix-mh", [4, 8], prompts=PROMPTS[:2], options={})
    paid = {(r["method"], r["budget"], r["prompt_index"]): r for r in report.store.rows if r["method"] != "base"}
    free = {(r["method"], r["budget"], r["prompt_index"]): r for r in without.store.rows if r["method"] != "base"}
    assert paid.keys() == free.keys()
    for key, row in paid.items():
        assert row["samples"] > free[key]["samples"]
        assert row["met"] == free[key]["met"] + 3
        assert row["energy"] <= free[key]["energy"]


def test_rewrites_compete_by_energy_alone(tmp_path: Any) -> None:
    reward = {probe_file(tmp_path, "taste", 1): 6.0}
    with pytest.raises(RecipeError, match="rewrites compete by energy"):
        compare(reward=reward, rewrite=SHORT, select="reward")
