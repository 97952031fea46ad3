"""The model of lm-evaluation-harness, asked as the harness asks it, and compared with the harness's own model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import sea_toolkit as sea
from tests.models.folders import save_policy

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")

RECIPE = """
max_new_tokens = 6

[sampler]
name = "best-of-n"
budget = 4.0

[[energies]]
name = "reference"

[[energies]]
name = "length"
target = 3
"""


def asked(*arguments):
    return [SimpleNamespace(args=one) for one in arguments]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("lm_eval")
    (root / "recipe.toml").write_text(RECIPE)
    save_policy(root / "model")
    return root


def model(folder, **more):
    from sea_toolkit.integrations.lm_eval import SeaLM

    options = {"recipe": str(folder / "recipe.toml"), "model": str(folder / "model"), "dtype": "float32"}
    return SeaLM(**options, device="cpu", **more)


def test_answers_are_those_of_a_run_cut_at_the_stop_strings_with_what_they_cost(folder, tmp_path):
    lm = model(folder, batch_size="2", records=str(tmp_path / "records.jsonl"))
    options = {"until": ["e"], "max_gen_toks": 5, "do_sample": False, "temperature": 0.0}
    contexts = ["the rain", "a", "the sun"]
    found = lm.generate_until(asked(*((context, options) for context in contexts)))
    settings = {"recipe": str(folder / "recipe.toml"), "model": str(folder / "model"), "dtype": "float32"}
    expected = sea.align(contexts, template="plain", device="cpu", batch=2, max_new_tokens=5, **settings)
    assert found == [result.response.partition("e")[0] for result in expected]
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == found
    assert [record["energy"] for record in records] == [pytest.approx(list(r.energy)) for r in expected]
    info = lm.get_model_info()["sea"]
    assert info["answers"] == 3
    assert info["flops"] == pytest.approx(expected[0].ledger["flops"] + expected[2].ledger["flops"])
    assert info["samples_per_answer"] == pytest.approx(sum(r["samples"] for r in records) / 3)


def test_likelihoods_are_those_of_the_harness_own_model(folder):
    from lm_eval.models.huggingface import HFLM

    lm, own = model(folder, batch_size=2), HFLM(str(folder / "model"), device="cpu", dtype="float32")
    requests = asked(("the rain", " is warm"), ("the", " sun"), ("", "a cat"), ("a b c d", " e"), ("a ", "b"))
    mine, theirs = lm.loglikelihood(requests), own.loglikelihood(requests)
    for (one, greedy), (other, is_greedy) in zip(mine, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
        assert greedy is bool(is_greedy)
    texts = asked(("the rain is warm and the sun is cold",), ("a",))
    assert lm.loglikelihood_rolling(texts) == pytest.approx(own.loglikelihood_rolling(texts), abs=1e-3)


def test_what_is_wrong_is_said_before_a_task_is_read(folder):
    with pytest.raises(sea.RecipeError, match=r"unknown argument 'rewrd'[\s\S]*reward"):
        model(folder, rewrd="sentiment")
    with pytest.raises(sea.RecipeError, match="batch_size = 'auto'"):
        model(folder, batch_size="auto")
    with pytest.raises(sea.RecipeError, match="begins the answer"):
        model(folder).apply_chat_template([{"role": "assistant", "content": "A"}], add_generation_prompt=False)


def test_what_a_task_says_of_sampling_is_told_not_to_count(folder, caplog):
    model(folder).generate_until(asked(("a", {"until": [], "temperature": 0.7, "do_sample": True})))
    assert "not used of the task: do_sample, temperature" in caplog.text
