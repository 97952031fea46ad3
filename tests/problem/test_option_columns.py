"""Options of energies that come from columns of the prompts' table."""

from __future__ import annotations

import json

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.row_selection import select_prompts
from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.energy import Energy
from sea_toolkit.runs.session import Session
from sea_toolkit.testing.setting import registered
from sea_toolkit.testing.tiny import EOS
from tests.cli.commands import invoke
from tests.helpers import hub, problem_for, random_ids, run_for, tiny_policy

GOAL = {"column": "goal"}
LENGTH = {"name": "length", "target": GOAL}
PROMPTS = ["a dog", "the cat", "on"]
RUN = {"sampler": {"name": "best-of-n", "chains": 2, "steps": 1}, "max_new_tokens": 6}


def rows(*goals, **more):
    return [{"prompt": prompt, "goal": goal, **more} for prompt, goal in zip(PROMPTS, goals, strict=False)]


def term_of(options, prompts, plugins=None, sampler="best-of-n"):
    recipe = {"energies": [options], "max_new_tokens": 6}
    return problem_for(recipe=recipe, prompts=prompts, plugins=plugins, sampler=sampler).terms[0]


def relaxed(seed=0):
    weights = torch.rand(3, 2, 6, 128, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    return SoftResponse.from_weights(weights.requires_grad_(), None, (EOS,))


class Moody(Energy):
    """Reads through a table, some tokens, its own tokens, the prefix and the prompts of the run."""

    joint = True
    differentiable = True

    def __init__(self, *, mood: str = "calm", power: float = 1.0) -> None:
        self.mood, self.power = mood, power

    def bind(self, context):
        table, shift = context.policy.table.detach(), context.prefix.last_hidden.sum(-1)
        letters = torch.tensor([float(len(prompt)) for prompt in context.prompts])

        def energy(response):
            embedded = (response.embed(table).square().sum(-1) * response.alive).sum(-1)
            named = response.probability([len(self.mood), 40]).sum((-1, -2))
            repeated = response.overlap().sum((-1, -2)) + response.counts().square().sum(-1)
            # of all chains of a prompt
            total = embedded + named + 0.1 * repeated + embedded.sum(-1, keepdim=True)
            return self.power * total * letters[:, None] + shift[:, None]

        return sea.BoundEnergy(energy=energy, warnings=[f"it is {self.mood}"])


@pytest.mark.parametrize(
    ("name", "option", "cells"),
    [
        ("length", "target", [2.0, 5.0, 2.0]),
        ("keywords", "words", [["rain"], ["dog", "cat"], ["rain"]]),
        ("moody", "mood", ["bad", "very good", "bad"]),
    ],
)
def test_each_prompt_has_the_energy_of_its_own_row_with_its_gradient(name, option, cells):
    with registered("energy", Moody, hub()) as (plugins, item):
        name = item.qualified if name == "moody" else name
        mixed = term_of({"name": name, option: GOAL}, rows(*cells), plugins, "sea")
        alone = [term_of({"name": name, option: cell}, PROMPTS, plugins, "sea") for cell in cells]
        for response in (relaxed(), SoftResponse.from_ids(random_ids(3, 2, 6), (EOS,))):
            expected = torch.stack([term(response)[p] for p, term in enumerate(alone)])
            found = mixed(response)
            torch.testing.assert_close(found, expected)
            if response.weights.requires_grad:
                slopes = [
                    torch.autograd.grad(value.sum(), response.weights, retain_graph=True)[0]
                    for value in (found, expected)
                ]
                assert float(slopes[1].abs().sum()) > 0
                torch.testing.assert_close(*slopes)
                continue
            taps = [response.with_gradient_taps() for _ in range(4)]
            slope = taps[0].taps.gradient(mixed(taps[0]).sum())
            each = [tapped.taps.gradient(term(tapped).sum()) for term, tapped in zip(alone, taps[1:], strict=True)]
            for position in (0, 5):
                wanted = torch.stack([g.over_vocabulary(position, 128)[p] for p, g in enumerate(each)])
                torch.testing.assert_close(slope.over_vocabulary(position, 128), wanted)
        if name == item.qualified:
            assert list(mixed.bound.warnings) == ["it is bad", "it is very good"]


def test_a_selection_of_a_selection_reaches_the_whole():
    response = SoftResponse.from_ids(random_ids(3, 2, 6), (EOS,)).with_gradient_taps()
    inner = select_prompts(select_prompts(response, torch.tensor([2, 0])), torch.tensor([1]))
    assert inner.ids.tolist() == response.ids[:1].tolist()
    slope = inner.taps.gradient(inner.probability([7]).sum())
    assert [float(grad.abs().sum()) for grad in slope.tokens[0][1]] == [12.0, 0.0, 0.0]


def test_texts_and_what_they_lack_are_judged_by_the_prompts_own_row():
    term = term_of({"name": "regex", "pattern": GOAL}, rows("dog", "cat", "dog"))
    prompts = [sea.Prompt(row["prompt"], columns={"goal": row["goal"]}) for row in rows("dog", "cat", "dog")]
    texts = [["a dog", "a cat"]] * 3
    assert term.score_text(prompts, texts).tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert term.unmet(prompts[1], "a dog", 1.0)
    assert not term.differentiable
    twice = [{"prompt": "a dog", "goal": goal} for goal in ("dog", "cat")]  # one prompt, two rows
    again = run_for(recipe={"energies": [{"name": "regex", "pattern": GOAL}], **RUN}, energies={}, prompts=twice)
    assert [len(row) for row in again.problem.terms[0].score_text(again.problem.prompts, texts[:2])] == [2, 2]
    assert again.problem.terms[0].score_text(again.problem.prompts, texts[:2]).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_a_constraint_takes_columns_and_so_does_a_part_of_an_option():
    problem = problem_for(
        recipe={
            "energies": [{"name": "keywords", "words": ["rain", GOAL]}],
            "constraints": [LENGTH | {"target": {"column": "size"}, "max": 0.2}],
            **RUN,
        },
        prompts=[{"prompt": "a", "goal": "dog", "size": 1}, {"prompt": "on", "goal": "cat", "size": 4}],
    )
    words, limit = problem.terms
    response = problem.policy.from_text([["rain dog"], ["rain dog"]], torch.zeros(2, 1, dtype=torch.bool))
    assert words(response).tolist() == [[0.0], [1.0]]
    n = float(response.expected_length()[0, 0])
    assert limit(response).flatten().tolist() == pytest.approx([0.5 * ((n - size) / 10.0) ** 2 for size in (1, 4)])


@pytest.mark.parametrize(
    ("energy", "prompts", "message"),
    [
        (LENGTH, rows(3.0, None), r"energies\[0\] \(length\): option 'target' is that of the column 'goal', and "
         r"prompt 2 \('the cat'\) has a blank there"),
        (LENGTH, rows(3.0, "  "), r"prompt 2 \('the cat'\) has a blank there"),
        (LENGTH, ["a dog"], r"prompt 1 \('a dog'\) has no columns[\s\S]*expected: a value in the column 'goal'"),
        (LENGTH, [{"prompt": "a", "goals": 3}], "has the columns 'goals'"),
        (LENGTH, rows(3.0, "many"), r"prompt 2 \('the cat'\), column 'goal': energies\[0\] \(length\): option "
         r"'target' is 'many'"),
        (LENGTH, rows(-3.0), r"prompt 1 \('a dog'\), column 'goal': .*option 'target' is -3"),
        (LENGTH | {"tolerence": GOAL}, rows(3.0), "unknown option 'tolerence'"),
        ({"name": "keywords", "words": {"column": "goal"}}, rows(["a"], 3), "prompt 2 .*option 'words' is 3"),
        ({"name": "reference", "normalize": GOAL}, rows("sum"), "an option of −log π comes from a column"),
        ({"name": "verifier", "function": GOAL}, rows("os:getcwd"), "runs Python, which is not allowed|os:getcwd"),
        ({"name": "perplexity", "model": GOAL}, rows("./nowhere"), "no model at"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_told_before_anything_is_loaded(energy, prompts, message, monkeypatch):
    def loads(*args, **more):
        raise AssertionError("weights are read")

    monkeypatch.setattr("sea_toolkit.lm.policy.Policy.prefix", loads)
    with pytest.raises(sea.SeaError, match=message):
        sea.align(prompts, policy=tiny_policy(), hub=hub(), recipe=RUN | {"energies": [energy, {"name": "finished"}]})


def test_the_last_prompt_of_many_batches_and_of_a_dry_run_is_looked_at_first(tmp_path, monkeypatch):
    def loads(*args, **more):
        raise AssertionError("weights are read")

    monkeypatch.setattr("sea_toolkit.runs.session.load_policy", loads)
    prompts = [{"prompt": f"a dog {i}", "goal": 3.0} for i in range(5)] + [{"prompt": "on", "goal": None}]
    with pytest.raises(RecipeError, match=r"prompt 6 \('on'\) has a blank"):
        sea.align(prompts, batch=2, hub=hub(), energies={"length": {"target": GOAL}})
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    words = ["align", "--prompts", str(tmp_path / "p.jsonl"), "--energy", "length=1,target={column=goal}", "--dry-run"]
    refused = invoke(*words)
    assert refused.exit_code == 2
    assert "prompt 6 ('on') has a blank" in refused.stderr


def test_a_column_names_a_few_models_at_most(monkeypatch):
    prompts = [{"prompt": "a", "goal": f"./folder-{i}"} for i in range(9)]
    composition = Session(hub(), policy=tiny_policy()).compose(
        sea.Recipe.parse({"energies": [{"name": "reward", "model": GOAL}]})
    )
    composition.prompts(prompts)
    assert composition.parts[0].energy.reward_model == [f"./folder-{i}" for i in range(9)]

    monkeypatch.setattr("sea_toolkit.models.finder.resolve_model", lambda name, *others: name)
    for energy in composition.parts[0].energy.instances.values():
        energy.check = lambda finder, tokenizer, name=energy.model: finder.find(name, "reward")
    with pytest.raises(RecipeError, match="names more than 8 models"):
        composition.check(ModelFinder(hub()), tiny_policy().tokenizer)


def test_a_schedule_may_stand_in_a_cell_and_beside_a_column():
    schedule = {"schedule": "linear", "start": 1.0, "end": 5.0}
    problem = problem_for(recipe={"energies": [LENGTH], **RUN}, prompts=rows(schedule, 3.0))
    assert problem.is_time_dependent
    response = SoftResponse.from_ids(random_ids(2, 1, 6), (EOS,))
    early = problem.terms[0](response)
    problem.clock.progress = 1.0
    late = problem.terms[0](response)
    assert (early != late).flatten().tolist() == [True, False]


def test_an_energy_of_a_wrong_shape_is_blamed_on_its_plugin():
    class Short(Energy):
        def __init__(self, *, mood: str) -> None:
            self.mood = mood

        def bind(self, context):
            return sea.BoundEnergy(energy=lambda response: response.alive.sum())

    with registered("energy", Short, hub()) as (plugins, item):
        term = term_of({"name": item.qualified, "mood": GOAL}, rows("bad", "good"), plugins)
        with pytest.raises(PluginError, match=r"Short[\s\S]*returned"):
            term(SoftResponse.from_ids(random_ids(2, 2, 6), (EOS,)))


def test_it_goes_through_files_runs_their_resumption_and_comparisons(tmp_path, monkeypatch):
    loaded = "sea_toolkit.runs.session.load_policy"
    monkeypatch.setattr(loaded, lambda spec, finder, check: check(tiny_policy().tokenizer) or tiny_policy())
    (tmp_path / "p.csv").write_text('prompt,goal,words\na dog,2,"[""rain""]"\nthe cat,5,"[""dog""]"\n')
    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "a dog", "goal": 2, "words": ["rain"]}\n{"prompt": "the cat", "goal": 5, "words": ["dog"]}\n'
    )
    found = []
    for name in ("p.csv", "p.jsonl"):
        words = ["align", "--prompts", str(tmp_path / name), "--energy", "length=1,target={column=goal}", "--json",
                 "--energy", "keywords=1,words={column=words}", "--max-new-tokens", "5", "--steps", "1",
                 "--out", str(tmp_path / name[2:])]  # fmt: skip
        done = invoke(*words)
        assert done.exit_code == 0, done.output
        found.append([json.loads(line) for line in done.stdout.splitlines()])
    first, second = ([{**result, "ledger": None, "chains": None} for result in results] for results in found)
    assert first == second
    for result, goal in zip(first, (2, 5), strict=True):
        assert result["terms"]["length"]["after"] == pytest.approx(distance(result, goal))
    sea.resume(tmp_path / "csv", steps=3, policy=tiny_policy(), hub=hub())
    report = compare(
        rows(2.0, 5.0), samplers=["best-of-n"], budgets=[2], policy=tiny_policy(), hub=hub(), max_new_tokens=4,
        energies={"short": LENGTH},
    )  # fmt: skip
    compared = [row for row in report.store.rows if row["method"] == "best-of-n"]
    assert [row["terms"]["short"] for row in compared] == pytest.approx(
        [distance(row, goal) for row, goal in zip(compared, (2, 5), strict=True)]
    )


def distance(answer, goal):
    """What `length` says of an answer of a result or a comparison."""
    text = answer.get("response", answer.get("text"))
    finished = answer["finished"]
    ended = finished["after"] if isinstance(finished, dict) else finished
    return 0.5 * ((len(tiny_policy().answers.encode([text])[0]) + ended - goal) / 10.0) ** 2
