"""Functions of texts and the columns of the prompts' table: what TRL and OpenRLHF give, unchanged."""

from __future__ import annotations

import json
import sys

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.prompts import read_prompts
from tests.cli.commands import invoke
from tests.helpers import hub, tiny_policy

RUN = {"sampler": {"name": "best-of-n", "chains": 2, "steps": 1}, "max_new_tokens": 5}
ROWS = [{"prompt": "a dog", "solution": "4", "level": 2}, {"prompt": "the cat", "solution": "5", "level": 3}]


def align(prompts, **more):
    return sea.align(prompts, policy=tiny_policy(), hub=hub(), **{"recipe": RUN, **more})


class Seen:
    """What reward functions were given, by name."""

    def __init__(self):
        self.calls = []

    def trl(self, prompts, completions, solution, **kwargs):
        self.calls.append({"prompts": prompts, "completions": completions, "solution": solution, **kwargs})
        return [None if prompt == "a dog" else 2.0 for prompt in prompts]

    def each(self, solution, completion, level=0, other="none"):
        self.calls.append((solution, completion, level, other))
        return float(len(solution))

    def turns(self, prompts, completions: list[list[dict[str, str]]], **kwargs):
        self.calls.append((prompts, completions))
        return [float(len(completion[0]["content"])) for completion in completions]

    def strict(self, queries, prompts, labels):
        return self.openrlhf(queries, prompts, labels)["rewards"]

    def openrlhf(self, queries, prompts, labels, **kwargs):
        self.calls.append((queries, prompts, labels, kwargs))
        reward = torch.tensor([float(len(query) - len(prompt)) for query, prompt in zip(queries, prompts, strict=True)])
        return {"rewards": reward, "scores": reward, "extra_logs": {"dummy_scores": reward}}


def test_a_function_of_trl_gets_every_column_and_may_say_none():
    seen = Seen()
    one, two = align(ROWS, reward=seen.trl)
    assert (one.prompt, two.prompt) == ("a dog", "the cat")
    assert one.rewards["trl"] == (0.0, 0.0)
    assert two.rewards["trl"] == (2.0, 2.0)
    for call in seen.calls:
        assert set(call) == {"prompts", "completions", "solution", "level"}
        assert [{"a dog": "4", "the cat": "5"}[prompt] for prompt in call["prompts"]] == call["solution"]


def test_a_function_of_one_text_gets_the_cells_of_its_prompt():
    seen = Seen()
    align(ROWS[:1], reward=seen.each)
    assert {(solution, level, other) for solution, _, level, other in seen.calls} == {("4", 2, "none")}


def test_a_function_that_is_annotated_for_conversations_gets_messages():
    seen = Seen()
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a dog"}]
    (result,) = align([{"prompt": conversation}], reward=seen.turns)
    assert result.rewards["turns"][1] == len(result.response)
    prompts, completions = seen.calls[0]
    assert prompts[0] == conversation
    assert completions[0][0]["role"] == "assistant"


def test_a_function_of_openrlhf_gets_queries_in_the_policys_template_and_labels():
    seen = Seen()
    (result,) = align([{"prompt": "a dog", "label": "4"}], reward=seen.openrlhf)
    assert result.rewards["openrlhf"][1] == len(result.response)
    queries, prompts, labels, others = seen.calls[0]
    policy = tiny_policy()
    shown = policy.chat.render(Prompt("a dog").messages, add_generation_prompt=True) if policy.chat else "a dog"
    assert set(prompts) == {shown}
    assert all(query.startswith(shown) for query in queries)
    assert set(labels) == {"4"}
    assert set(others) == {"label"}
    assert not any("labels" in note for note in result.notes)
    align([{"prompt": "a dog", "labels": "4", "level": 1}], reward=seen.strict)
    assert set(seen.calls[-1][2]) == {"4"}
    (plain,) = align(["a dog"], reward=seen.openrlhf)
    assert set(seen.calls[-1][2]) == {""}
    assert any("openrlhf gets empty labels: the prompts have no column 'label'" in note for note in plain.notes)


def test_a_column_that_is_needed_and_not_there_is_told_before_anything_is_loaded():
    with pytest.raises(RecipeError, match=r"asks for 'solution', and prompt 2 \('the cat'\) has the columns 'level'"):
        align([ROWS[0], {"prompt": "the cat", "level": 1}], reward=Seen().trl)
    with pytest.raises(RecipeError, match=r"has no columns[\s\S]*--prompts FILE.csv, or in Python rows: \[{"):
        sea.align("a", reward={"mine": (1.0, Seen().trl)}, hub=hub(), recipe={"policy": {"model": "nowhere"}})


def test_a_run_with_columns_is_resumed_with_them(tmp_path):
    seen = Seen()
    align(ROWS, reward=seen.trl, out=tmp_path / "run")
    data = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert data["prompts"] == ["a dog", "the cat"]
    assert data["columns"] == [{"solution": "4", "level": 2}, {"solution": "5", "level": 3}]
    seen.calls.clear()
    sea.resume(tmp_path / "run", reward=seen.trl, steps=3, policy=tiny_policy(), hub=hub())
    assert {"4", "5"} == {solution for call in seen.calls for solution in call["solution"]}
    with pytest.raises(RecipeError, match="the columns of the prompts are no plain data"):
        align([{"prompt": "a", "solution": object()}], reward=seen.trl, out=tmp_path / "other")


def test_columns_that_nothing_reads_are_left_out(tmp_path):
    results = [align(prompts, reward=lambda texts: [1.0] * len(texts)) for prompts in (ROWS, ["a dog", "the cat"])]
    assert [r.response for r in results[0]] == [r.response for r in results[1]]
    align(ROWS, reward=lambda texts: [1.0] * len(texts), out=tmp_path / "run")
    assert "columns" not in json.loads((tmp_path / "run" / "recipe.json").read_text())


def test_one_text_has_a_value_for_each_row_of_columns():
    cache, asked = TextCache(Ledger()), []

    def score(prompts, texts):
        asked.extend(prompts)
        return torch.tensor([float(prompt.columns["n"]) for prompt in prompts])

    prompts = [Prompt("a").with_columns({"n": n}) for n in (1, 2, 1)]
    assert cache.ask(prompts, ["x"] * 3, score).tolist() == [1.0, 2.0, 1.0]
    assert len(asked) == 2


def test_the_other_columns_of_a_file_go_with_its_prompts(tmp_path):
    (tmp_path / "p.csv").write_text("prompt,solution\na dog,4\n")
    (tmp_path / "p.jsonl").write_text('{"prompt": "a dog", "solution": 4}\n')
    assert [dict(p.columns) for p in read_prompts(tmp_path / "p.csv")] == [{"solution": "4"}]
    assert [dict(p.columns) for p in read_prompts(tmp_path / "p.jsonl")] == [{"solution": 4}]


SOURCE = """
from dataclasses import dataclass

@dataclass
class Task:
    solution: str

def right(prompts, completions, solution, **kwargs):
    return [float(len(Task(s).solution)) for s in solution]

def plain(text):
    return 1.0
"""


def test_the_command_line_takes_a_function_of_a_file_if_it_is_allowed(tmp_path, monkeypatch):
    loaded = "sea_toolkit.runs.session.load_policy"
    monkeypatch.setattr(loaded, lambda spec, finder, check: check(tiny_policy().tokenizer) or tiny_policy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "my-rewards.py").write_text(SOURCE)
    (tmp_path / "p.csv").write_text("prompt,solution\na dog,four\n")
    name = "checks/my-rewards.py:right"
    words = ["align", "--prompts", "p.csv", "--reward", f"{name}=8", "--json", "--max-new-tokens", "5", "--steps", "1"]
    refused = invoke(*words)
    assert refused.exit_code == 2
    assert f"--allow-code {name}" in refused.stderr
    found = invoke(*words, "--allow-code", name)
    assert found.exit_code == 0, found.output
    assert set(json.loads(found.stdout)["rewards"]["right"].values()) == {4.0}
    nowhere = invoke(*words[:4], "no.py:f=8", "--allow-code", "no.py:f")
    assert nowhere.exit_code == 1
    assert "there is no file" in nowhere.stderr
