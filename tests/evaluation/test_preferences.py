"""Pairs of answers out of runs."""

from __future__ import annotations

import dataclasses
import json

import pytest

import sea_toolkit as sea
from tests.helpers import tiny_policy

SETTINGS = {"energies": {"length": {"weight": 3.0, "target": 2}}, "max_new_tokens": 6, "budget": 6, "seed": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Results of a run, and its folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return sea.align(["the rain", "a", "the sun"], policy=tiny_policy(), out=folder, **SETTINGS), folder


def test_a_pair_is_the_aligned_answer_and_the_first_one(runs):
    results, _ = runs
    rows = sea.preferences(results, conversational=False)
    fell = [r for r in results if r.response != r.base_response and r.energy[1] < r.energy[0]]
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == [
        (str(r.prompt), r.response, r.base_response) for r in fell
    ]
    assert len(rows) > 0
    chat = sea.preferences(results)[0]
    assert chat["prompt"] == [{"role": "user", "content": rows[0]["prompt"]}]
    assert chat["rejected"] == [{"role": "assistant", "content": rows[0]["rejected"]}]
    drops = sorted(r.energy[0] - r.energy[1] for r in fell)
    assert len(sea.preferences(results, margin=drops[-1] - 1e-6)) == 1


def test_what_stayed_is_outside_a_limit_or_makes_no_texts_gives_no_pair(runs):
    result = runs[0][0]
    result = dataclasses.replace(result, energy=(9.0, 1.0), base_response="other")
    assert len(sea.preferences([result])) == 1
    assert sea.preferences([dataclasses.replace(result, base_response=result.response)]) == []
    talk = sea.Prompt.of([{"role": "system", "content": "x"}, {"role": "user", "content": "y"}])
    with pytest.raises(sea.RecipeError, match="has 2 turns"):
        sea.preferences([dataclasses.replace(result, prompt=talk)], conversational=False)
    with pytest.raises(sea.RecipeError, match="margin = -1"):
        sea.preferences([result], margin=-1)


def test_the_command_writes_the_pairs_of_runs(runs, tmp_path):
    from click.testing import CliRunner

    from sea_toolkit.cli.preferences import preferences

    results, folder = runs
    out = tmp_path / "pairs.jsonl"
    done = CliRunner().invoke(preferences, [str(folder), "--texts", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in out.read_text().splitlines()] == sea.preferences(results, conversational=False)
    again = CliRunner().invoke(preferences, [str(folder), "--out", str(out)])
    assert isinstance(again.exception, sea.RecipeError)
