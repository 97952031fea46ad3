"""Whole runs: determinism, what is chosen, budgets, traces and results."""

from __future__ import annotations

import json

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.archive import KEEP, Archive, Candidate
from sea_toolkit.runs.checkpoint import pack
from sea_toolkit.runs.checkpoint_file import unpack
from sea_toolkit.testing.runs import timeless
from sea_toolkit.util import run_files
from tests.helpers import PROMPTS, endless, hub, run_for, tiny_policy, warmth

SAMPLERS = [i.name for i in hub().items("sampler")]


def plain(results):
    return [timeless(r.to_dict()) for r in results]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_bytes(sampler, tmp_path):
    torch.manual_seed(1)
    one = run_for(tmp_path / "1", sampler=sampler, steps=4, seed=3).execute()
    torch.manual_seed(2)
    two = run_for(tmp_path / "2", sampler=sampler, steps=4, seed=3).execute()
    assert json.dumps(plain(one)) == json.dumps(plain(two))
    assert (tmp_path / "1" / run_files.TRACE).read_bytes() == (tmp_path / "2" / run_files.TRACE).read_bytes()
    other = run_for(sampler=sampler, steps=4, seed=4).execute()
    assert [r.base_response for r in other] != [r.base_response for r in one]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_prompts_answer_does_not_depend_on_its_neighbors(sampler):
    settings = {"sampler": sampler, "steps": 3}
    together = run_for(prompts=PROMPTS, **settings).execute()
    for prompt, found in zip(PROMPTS, together, strict=True):
        (alone,) = run_for(prompts=[prompt], **settings).execute()
        assert found.base_response == alone.base_response
        assert found.response == alone.response
        assert found.energy == pytest.approx(alone.energy, rel=1e-4, abs=1e-3)
        assert [c["response"] for c in found.chains] == [c["response"] for c in alone.chains]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_chosen_text_is_no_worse_than_any_start(sampler):
    for result in run_for(sampler=sampler, steps=4, chains=3).execute():
        assert result.base_response == result.chains[0]["start"]
        assert result.energy[1] <= min(c["start_energy"] for c in result.chains)
        # a sampler that scores more texts than it has chains may have met a better one
        assert result.energy[1] <= min(c["energy"] for c in result.chains)
        assert all(c["energy"] <= c["start_energy"] for c in result.chains)
        assert result.response == result.candidates[0].text
        total = sum(w * result.terms[k][1] for k, w in {"reference": 1.0, "warmth": 4.0}.items())
        assert result.energy[1] == pytest.approx(total, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_gets_somewhere(sampler):
    results = run_for(prompts=PROMPTS, sampler=sampler, steps=12, chains=4).execute()
    assert sum(any(c["energy"] < c["start_energy"] - 1.0 for c in r.chains) for r in results) >= 2


def test_the_reported_terms_are_those_of_the_reported_text():
    for result in run_for(sampler="tilted", steps=6).execute():
        policy, best = tiny_policy(), result.candidates[0]
        done = torch.tensor([[best.finished]])
        response = policy.from_text([[result.response]], done)
        assert result.terms["warmth"][1] == pytest.approx(float(warmth(response)), abs=1e-5)
        prefix = policy.prefix(policy.encode([result.prompt], 10))
        nll = -(policy.log_prob(prefix, response.ids) * response.alive).sum()
        assert result.terms["reference"][1] == pytest.approx(float(nll), rel=1e-4)
        assert result.nll_per_token[1] == pytest.approx(float(nll / response.expected_length()), rel=1e-4)
        assert best.tokens == int(response.expected_length())


# --- initializers


def test_greedy_draft_and_random_starts():
    greedy = run_for(sampler="best-of-n", steps=1, recipe={"initializer": {"name": "greedy"}}).execute()
    for result in greedy:
        assert len({c["start"] for c in result.chains}) == 1
    draft = run_for(sampler="sea", steps=1, draft="the red", max_new_tokens=12).execute()
    for result in draft:
        assert result.base_response == "the red"
        assert result.chains[0]["start_energy"] is not None
    each = run_for(sampler="sea", steps=1, recipe={"initializer": {"name": "draft", "text": ["one", "two"]}}).execute()
    assert [r.base_response for r in each] == ["one", "two"]
    rows = [{"prompt": prompt, "draft": text, "n": 1} for prompt, text in zip(PROMPTS, ("one", "two"), strict=False)]
    column = {"initializer": {"name": "draft", "text": {"column": "draft"}}}
    of_rows = run_for(sampler="sea", steps=1, recipe=column, prompts=rows).execute()
    assert [r.base_response for r in of_rows] == ["one", "two"]
    assert [r.prompt.columns for r in of_rows] == [{"draft": "one"}, {"draft": "two"}]
    noise = run_for(sampler="sea", steps=1, recipe={"initializer": {"name": "random"}}).execute()
    assert noise[0].energy[0] > draft[0].energy[0]


def test_an_unfinished_draft_is_written_on():
    recipe = {"initializer": {"name": "draft", "text": "the red", "finished": False}}
    for result in run_for(sampler="suffix-mh", steps=1, recipe=recipe, max_new_tokens=12).execute():
        assert result.base_response.startswith("the red")
        assert len(result.base_response) > len("the red")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ["a"]}, "1 drafts for 2 prompts"),
        ({"text": "a " * 30}, "the draft has"),
        ({"text": "  "}, "a draft is empty"),
        ({"text": {"column": "draft"}}, "the initializer asks for 'draft', and prompt 1 .* has no columns"),
        ({"text": {"columns": "draft"}}, "the text of draft is"),
    ],
)
def test_drafts_that_cannot_be(options, message):
    with pytest.raises(RecipeError, match=message):
        run_for(sampler="sea", steps=1, recipe={"initializer": {"name": "draft", **options}}).execute()


def test_a_temperature_of_the_base_samples():
    cold = run_for(sampler="best-of-n", steps=1, recipe={"initializer": {"name": "base-samples", "temperature": 0.001}})
    greedy = run_for(sampler="best-of-n", steps=1, recipe={"initializer": {"name": "greedy"}})
    assert [r.base_response for r in cold.execute()] == [r.base_response for r in greedy.execute()]


# --- budgets


def few(response):
    """Prefers a few letters."""
    return -response.probability([5, 6]).sum((-2, -1))


@pytest.mark.parametrize(("budget", "chains"), [(12, 4), (13, 4), (4, 4), (10.4, 4), (9, 1), (8, None), (40, None)])
def test_best_of_n_draws_as_many_as_come_nearest(budget, chains, monkeypatch):
    run = run_for(sampler="best-of-n", budget=budget, chains=chains, energies={"few": (1.0, few)}, policy=endless())
    drawn = []
    score = Problem.score_as_text
    monkeypatch.setattr(
        Problem, "score_as_text", lambda self, ids, *a: drawn.append(ids.shape[1]) or score(self, ids, *a)
    )
    run.execute()
    # no answer ends early, every text reads as it was drawn, and the first token comes with the prompt
    each = run.problem.ledger.samples / sum(drawn)
    assert each == pytest.approx(0.91, abs=0.02)
    assert abs(run.problem.ledger.samples - budget) <= each / 2 + 0.06


@pytest.mark.parametrize(("budget", "chains"), [(1, 1), (4, 1), (8, 3), (12, 4), (32, 4), (None, 4)])
def test_a_small_budget_has_as_many_chains_as_can_take_a_step(budget, chains):
    run = run_for(sampler="tilted", budget=budget, chains=None)
    assert run.problem.chains == chains
    assert run_for(sampler="tilted", budget=16, chains=3).problem.chains == 3


def test_reading_the_prompt_is_not_part_of_a_budget():
    short, long = (run_for(sampler="tilted", budget=8, prompts=[p], seed=2) for p in ("a", "the rain in the town " * 9))
    assert long.problem.ledger.flops > 5 * short.problem.ledger.flops > 0
    for run in (short, long):
        assert run.problem.ledger.samples == 0
        run.execute()
        assert run.step > 0


def test_a_budget_below_the_chains_is_refused():
    with pytest.raises(RecipeError, match="a budget of 3 samples, and 4 chains"):
        run_for(sampler="best-of-n", budget=3, chains=4)
    with pytest.raises(RecipeError, match=r"a budget of 0\.5 samples, and a chain that starts with one"):
        run_for(sampler="best-of-n", budget=0.5, chains=None)


def test_progress_runs_from_zero_to_one(tmp_path):
    seen = []
    run_for(sampler="sea", steps=5, on_event=lambda e: seen.append((e.kind, e.step, e.progress))).execute()
    assert [s for k, s, _ in seen if k == "step"] == [1, 2, 3, 4, 5]
    assert [p for k, _, p in seen if k == "step"] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert (seen[0][0], seen[-1][0]) == ("start", "end")


# --- what a run leaves


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_trace_is_complete(sampler, tmp_path):
    recipe = {"sampler": {"name": "sea", "check_every": 2}} if sampler == "sea" else None
    run = run_for(tmp_path, sampler=sampler if recipe is None else None, recipe=recipe, steps=5)
    results = run.execute()
    lines = [json.loads(x) for x in (tmp_path / run_files.TRACE).read_text().splitlines()]
    assert [x["step"] for x in lines if "last" not in x] == [-1, 1, 2, 3, 4, 5]
    assert [x["samples"] for x in lines] == sorted(x["samples"] for x in lines)
    lowest = [float("inf")] * 2
    for x in lines:
        assert x["stopped"] == [[False, False], [False, False]]
        if "energy" in x:
            assert set(x["terms"]) == {"reference", "warmth"}
            assert [len(row) for row in x["texts"]] == [len(row) for row in x["energy"]]
            lowest = [min(low, *row) for low, row in zip(lowest, x["energy"], strict=True)]
    assert "energy" in lines[0]
    assert "energy" in lines[-1], "the last texts are looked at"
    for low, result in zip(lowest, results, strict=True):
        assert low == pytest.approx(result.energy[1], abs=1e-5)
    wanted = {"sea": "gradient_norm", "sea-adam": "gradient_norm", "suffix-mh": "acceptance"}.get(sampler)
    if wanted is not None:
        assert all(wanted in x for x in lines[1:] if "last" not in x)


def test_the_folder(tmp_path):
    sea.align(
        "hi", policy=tiny_policy(), hub=hub(), energies={"warmth": (1.0, warmth)}, sampler="sea", steps=2, chains=2,
        max_new_tokens=6, out=tmp_path / "a" / "b",
    )  # fmt: skip
    folder = tmp_path / "a" / "b"
    assert {p.name for p in folder.iterdir()} == {
        "recipe.json", "manifest.json", "trace.jsonl", "checkpoint.safetensors", "result.json", "ended.json",
        ".run.lock",  # kept: if the last one took it away, one who waits would hold a file that nobody else sees
    }  # fmt: skip
    manifest = json.loads((folder / run_files.MANIFEST).read_text())
    assert manifest["seed"] == 0
    assert manifest["sampler"] == "sea"
    assert manifest["identity"]["plugins"]["sea-alignment:straight-through"]["kind"] == "relaxation"
    assert {"torch", "transformers"} <= manifest["identity"]["packages"].keys()
    (result,) = json.loads((folder / run_files.RESULT).read_text())
    assert {"prompt", "base_response", "response", "terms", "nll_per_token", "ledger", "chains"} <= result.keys()
    assert result["terms"]["warmth"].keys() == {"before", "after"}


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(sea.SeaError, match="cannot use"):
        sea.align("hi", policy=tiny_policy(), hub=hub(), energies={"w": (1.0, warmth)}, out=tmp_path / "file", steps=1)


def test_one_prompt_gives_one_result_and_a_list_a_list():
    settings = {"policy": tiny_policy(), "hub": hub(), "energies": {"w": (1.0, warmth)}, "steps": 1, "chains": 2}
    settings |= {"max_new_tokens": 5, "sampler": "best-of-n"}
    one = sea.align("hi", **settings)
    assert isinstance(one, sea.Result)
    many = sea.align(["hi", "hi"], **settings)
    assert [r.prompt for r in many] == ["hi", "hi"]
    assert many[0].base_response == one.base_response
    assert many[1].base_response != one.base_response, "a repeated prompt has its own stream"


def test_observers_watch_and_a_failing_one_is_left_out():
    class Watcher:
        def __init__(self):
            self.kinds = []

        @sea.hookimpl
        def sea_observe(self, event):
            self.kinds.append(event.kind)
            if len(self.kinds) == 3:
                raise ValueError("no more")

    own, watcher = PluginHub.discover(plugins=()), Watcher()
    with own.temporarily(watcher, name="watcher"):
        results = run_for(plugins=own, sampler="sea", steps=4).execute()
    assert watcher.kinds == ["start", "step", "step"]
    assert sum("no more" in note for note in results[0].notes) == 1


# --- the archive


def candidate(text, energy, chain=0, step=1):
    return Candidate(text, energy, {"a": energy}, 1, True, chain, step)


def test_the_archive_keeps_the_best_of_distinct_texts():
    archive = Archive()
    archive.add(candidate("start", 5.0, step=-1))
    for i in range(KEEP + 20):
        archive.add(candidate(f"t{i}", float((i * 37) % 1000)))
    archive.add(candidate("t0", -1.0))  # the same text again: the first one stays
    energies = [c.energy for c in archive.best]
    assert len(energies) == KEEP
    assert energies == sorted(energies)
    assert len({c.text for c in archive.best}) == KEEP
    assert archive.seen == KEEP + 22
    again, tensors = Archive(), {}
    again.load_state(unpack(json.loads(json.dumps(pack(archive.state(), "archive", tensors))), tensors))
    assert again == archive
