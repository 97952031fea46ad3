"""Comparisons: rows that are those of separate runs, kept when a comparison is killed, and a report that adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sea_toolkit.evaluation.compare
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.evaluation.cells import Work
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.evaluation.nested_budgets import BudgetedRun
from sea_toolkit.evaluation.rows import COMPARISON, evaluation_folder
from sea_toolkit.evaluation.statistics import distinct
from sea_toolkit.reporting import plots
from sea_toolkit.testing.tiny import tiny_tokenizer
from sea_toolkit.util.prompts import choose, different, read_prompts
from sea_toolkit.util.run_files import PLAN, PLOT, RESULTS, ROWS, SEAL, TABLE
from tests.helpers import PROMPTS, hub, tiny_policy, tiny_probe, warmth

OWN = {"warmth": (4.0, warmth)}
SAMPLERS = [i.name for i in hub().items("sampler")]
OF_THE_MACHINE = ("seconds", "peak_memory_mb", "peak_is_of_the_run")


def run(samplers: str = "best-of-n", budgets: Any = (4, 8), **more: Any) -> Any:
    given = {"prompts": PROMPTS, "policy": tiny_policy(), "hub": hub(), "max_new_tokens": 6, "batch": 2}
    if "reward" not in more:
        more = {"energies": OWN, **more}
    return compare(samplers=samplers.split(","), budgets=budgets, **{**given, **more})


def rows_of(report: Any) -> list[dict[str, Any]]:
    """Rows in a fixed order, without what depends on the machine's load."""
    rows = [{k: v for k, v in row.items() if k not in OF_THE_MACHINE} for row in report.store.rows]
    return sorted(rows, key=lambda r: (r["method"], r["budget"], r["seed"], r["prompt_index"]))


def probe_file(path: Path, name: str, seed: int, layer: int = 2) -> str:
    """A random probe for the tiny policy."""
    tiny_probe(name=name, model="tiny", seed=seed, layer=layer).save(path / f"{name}.safetensors")
    return str(path / f"{name}.safetensors")


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The budgets of the runs that are really made."""
    budgets: list[float] = []
    plain = BudgetedRun.execute

    def execute(self: BudgetedRun) -> Any:
        budgets.append(self.own)
        return plain(self)

    monkeypatch.setattr(BudgetedRun, "execute", execute)
    return budgets


class TestBudgetsThatShareARun:
    def separate(self, sampler: str, budgets: Any, **more: Any) -> list[dict[str, Any]]:
        single = [run(sampler, [b], **more) for b in budgets]
        rows = [row for report in single for row in rows_of(report) if row["method"] != "base"]
        return sorted(rows, key=lambda r: (r["method"], r["budget"], r["seed"], r["prompt_index"]))

    def together(self, sampler: str, budgets: Any, **more: Any) -> list[dict[str, Any]]:
        return [row for row in rows_of(run(sampler, budgets, **more)) if row["method"] != "base"]

    @pytest.mark.parametrize(("sampler", "select"), [*((s, "energy") for s in SAMPLERS), ("tilted", "reward")])
    def test_every_row_is_that_of_a_run_of_its_own(self, sampler: str, select: str, tmp_path: Path) -> None:
        budgets, more = [4, 10, 14], {"options": {sampler: {"chains": 2}}, "select": select, "prompts": PROMPTS[:2]}
        more["reward"] = {probe_file(tmp_path, "taste", 1): 6.0}
        found = self.together(sampler, budgets, **more)
        assert found == self.separate(sampler, budgets, **more)
        assert len(found) == 3 * 2
        assert len({row["met"] for row in found}) > 1

    @pytest.mark.parametrize("sampler", ["best-of-n", "suffix-mh", "tilted-exact"])
    def test_one_run_gives_all_budgets_where_that_is_exact(self, sampler: str, executed: list[float]) -> None:
        run(sampler, [4, 8, 12], options={sampler: {"chains": 4}})
        assert executed == [12, 12]  # two batches

    def test_a_schedule_makes_every_budget_a_run(self, executed: list[float]) -> None:
        strength = {"schedule": "linear", "start": 0.0, "end": 40.0}
        more = {"options": {"tilted": {"chains": 2, "strength": strength}}}
        found = self.together("tilted", [12, 20], **more)
        assert executed == [20, 12] * 2
        assert found == self.separate("tilted", [12, 20], **more)

    def test_a_schedule_that_follows_the_run_does_too(self, executed: list[float]) -> None:
        """adaptive is frozen at a part of the run; each run, and each batch, begins afresh."""
        beta = {"schedule": "adaptive", "start": 1.0, "target": 0.9, "warmup": 0.5}
        more = {"options": {"suffix-mh": {"chains": 2, "inverse_temperature": beta}}}
        found = self.together("suffix-mh", [12, 20], **more)
        assert executed == [20, 12] * 2
        assert found == self.separate("suffix-mh", [12, 20], **more)

    def test_a_scheduled_weight_does_too(self, executed: list[float]) -> None:
        term = {"name": "length", "target": 3.0, "weight": {"schedule": "linear", "start": 0.0, "end": 4.0}}
        run("suffix-mh", [12, 20], recipe={"energies": [{"name": "reference"}, term]}, energies=None)
        assert executed == [20, 12] * 2

    def test_the_end_of_a_smaller_budget_is_taken_and_left_again(self, executed: list[float]) -> None:
        """Shorter last steps, texts that a sampler has not looked at yet, answers for the rest: all are those of a run
        of its own, and the run of the larger budget is not changed by them."""
        for sampler, options in (("best-of-n", {}), ("suffix-mh", {}), ("sea", {"check_every": 50})):
            more = {"options": {sampler: {"chains": 2, **options}}, "prompts": PROMPTS[:1]}
            found = self.together(sampler, [9, 11, 15], **more)
            assert executed == [15]
            assert found == self.separate(sampler, [9, 11, 15], **more)
            executed.clear()


def test_a_killed_comparison_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = {"best-of-n": {"chains": 4}, "suffix-mh": {"chains": 2}}
    more = {"seeds": (0, 1), "versus": ["best-of-n@12"], "options": chains}
    whole = run("best-of-n,suffix-mh", out=tmp_path / "whole", **more)

    class Killed(BaseException):
        pass

    made = []
    plain = Work._run

    def stop_at_the_fourth(self: Work, *given: Any) -> Any:
        made.append(given[0].label)
        if len(made) == 4:
            raise Killed
        return plain(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "_run", stop_at_the_fourth)
        with pytest.raises(Killed):
            run("best-of-n,suffix-mh", out=tmp_path / "cut", **more)
    file = tmp_path / "cut" / ROWS
    kept = len(file.read_text().splitlines())
    assert kept == 2 * (3 + 1) + 2 * 2 + 2 * (3 + 1)  # batch 1: two methods (and base), then one with the second seed
    with open(file, "a") as rows:  # the process died while it wrote
        rows.write('{"method": "suffix-mh", "budg')
    made.clear()
    monkeypatch.setattr(Work, "_run", lambda self, *given: (made.append(given[0].label), plain(self, *given))[1])
    again = run("best-of-n,suffix-mh", out=tmp_path / "cut", **more)
    assert len(made) == 8 - 3
    assert again.store.resumed == kept
    assert rows_of(again) == rows_of(whole)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == len(again.store.rows) == len(whole.store.rows)
    made.clear()
    run("best-of-n,suffix-mh", out=tmp_path / "cut", **more)
    assert made == []


def test_a_batch_that_is_not_whole_is_done_again(tmp_path: Path) -> None:
    whole = run(out=tmp_path)
    file = tmp_path / ROWS
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))  # the disk has lost the end of the last run
    again = run(out=tmp_path)
    last = max(i for i, line in enumerate(lines[:-1]) if SEAL in json.loads(line))
    assert again.store.resumed == last + 1 > 0
    assert rows_of(again) == rows_of(whole)
    assert len(file.read_text().splitlines()) == len(lines)


def test_methods_budgets_and_seeds_may_be_added(tmp_path: Path, executed: list[float]) -> None:
    options = {"best-of-n": {"chains": 4}}
    run("best-of-n", [4, 8], out=tmp_path, options=options)
    executed.clear()
    options["suffix-mh"] = {"chains": 4}
    report = run("best-of-n,suffix-mh", [4, 8, 16], seeds=(0, 5), out=tmp_path, options=options)
    assert sorted(executed) == [16] * 8  # of best-of-n with the old seed, 16 alone is new
    assert {(c["method"], c["budget"]) for c in report.data()["cells"]} >= {("best-of-n", 4.0), ("suffix-mh", 16.0)}
    assert set(json.loads((tmp_path / PLAN).read_text())["methods"]) == {"best-of-n", "suffix-mh"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"max_new_tokens": 7}, "recipe.max_new_tokens"),
        ({"prompts": PROMPTS[:2]}, "prompts"),
        ({"batch": 3}, "batch"),
        ({"select": "energy", "options": {"best-of-n": {"chains": 2}}}, "method best-of-n"),
        ({"energies": {"cold": (1.0, warmth)}}, "own_terms"),
    ],
)
def test_the_folder_of_another_comparison_is_refused(changed: Any, named: str, tmp_path: Path) -> None:
    run(out=tmp_path)
    before = (tmp_path / ROWS).read_bytes()
    with pytest.raises(SeaError, match="holds another comparison") as error:
        run(out=tmp_path, **changed)
    assert named in str(error.value)
    assert (tmp_path / ROWS).read_bytes() == before


def test_other_folders_and_damaged_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(SeaError, match="holds a run already"):
        run(out=tmp_path)
    with pytest.raises(SeaError, match="is in use by process"), evaluation_folder(tmp_path / "b", COMPARISON):
        run(out=tmp_path / "b")
    run(out=tmp_path / "b")
    file = tmp_path / "b" / ROWS
    lines = file.read_text().splitlines(keepends=True)
    plan = (tmp_path / "b" / PLAN).read_text()
    for damage in (
        [lines[0], "nonsense\n", *lines[1:]],  # another line
        [lines[0].replace('"seed": 0', '"seed": 1'), *lines[1:]],  # a number is another one
        lines[1:],
        [lines[1], lines[0], *lines[2:]],
        ["{}\n", *lines[1:]],
        [*lines[:-1], "\xff" + lines[-1]],
    ):
        file.write_text("".join(damage))
        with pytest.raises(SeaError, match=r"rows.jsonl is damaged or was edited"):
            run(out=tmp_path / "b")
        assert file.read_text() == "".join(damage)
    file.write_text("".join(lines))
    (tmp_path / "b" / PLAN).write_text(plan.replace('"batch": ', '"batch": 1'))
    with pytest.raises(SeaError, match=r"compare.json is damaged or was edited"):
        run(out=tmp_path / "b")


def test_the_report_adds_up(tmp_path: Path) -> None:
    taste = probe_file(tmp_path, "taste", 1)
    judge = probe_file(tmp_path, "expert", 2)
    report = run(
        "best-of-n,strong=tilted", [4, 8], reward={taste: 6.0}, seeds=(0, 1), judges=[judge], out=tmp_path / "out",
        versus=["best-of-n@12"], options={"strong": {"strength": 9.0, "chains": 1}}, command="sea-toolkit compare …",
    )  # fmt: skip
    data = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert data == json.loads(json.dumps(report.data()))
    assert data["methods"]["strong"] == {"sampler": "tilted", "strength": 9.0, "chains": 1}
    cells = {(c["method"], c["budget"]): c for c in data["cells"]}
    assert set(cells) == {
        ("base", 1), ("best-of-n", 4), ("best-of-n", 8), ("best-of-n", 12), ("strong", 4), ("strong", 8),
    }  # fmt: skip
    some = [r for r in report.store.rows if (r["method"], r["budget"]) == ("strong", 8)]
    cell = cells["strong", 8]
    assert cell["mean"]["reward:taste"]["mean"] == pytest.approx(np.mean([r["rewards"]["taste"] for r in some]))
    assert cell["mean"]["judge:expert"]["mean"] == pytest.approx(np.mean([r["judges"]["expert"] for r in some]))
    assert cell["mean"]["nll_per_token"]["n"] == len(PROMPTS)
    assert cell["unfinished"] == np.mean([not r["finished"] for r in some])
    by_seed = [distinct([r["text"] for r in some if r["seed"] == s]) for s in (0, 1)]
    assert cell["distinct_2"] is None if np.isnan(by_seed).any() else cell["distinct_2"] == np.mean(by_seed)
    assert cell["samples"] > 4
    assert cell["seconds_per_prompt"] > 0
    assert cell["peak_memory_mb"] > 10
    assert cell["acceptance"] is not None
    assert cells["base", 1]["seconds_per_prompt"] is None
    pairs = {(p["a"], p["b"], p["metric"]): p for p in data["pairs"]}
    pair = pairs["best-of-n@8", "strong@8", "reward:taste"]
    means = [cells[m, 8]["mean"]["reward:taste"]["mean"] for m in ("best-of-n", "strong")]
    assert pair["mean"] == pytest.approx(means[0] - means[1])
    assert ("strong@4", "best-of-n@12", "judge:expert") in pairs
    assert len(data["statements"]) == 3 * (2 + 4)
    table = (tmp_path / "out" / TABLE).read_text()
    assert "| method | budget | reward taste | judge expert | −log π per token |" in table
    assert "| strong | 8 | " in table
    assert "sea-toolkit compare …" in table
    assert all(statement in table for statement in data["statements"])
    assert (tmp_path / "out" / PLOT).read_bytes().startswith(b"\x89PNG")


def test_the_statistics_are_the_same_twice() -> None:
    one, two = (run("best-of-n,suffix-mh").data() for _ in range(2))
    assert [c["mean"] for c in one["cells"]] == [c["mean"] for c in two["cells"]]
    assert one["pairs"] == two["pairs"]


def test_a_judge_reads_the_chosen_texts_and_is_not_in_the_ledger(tmp_path: Path) -> None:
    taste, judge = probe_file(tmp_path, "taste", 1), probe_file(tmp_path, "expert", 2)
    without = run(reward={taste: 6.0})
    with_judge = run(reward={taste: 6.0}, judges=[judge])
    for a, b in zip(rows_of(without), rows_of(with_judge), strict=True):
        assert b["samples"] == a["samples"]
        assert b["text"] == a["text"]
        assert set(b["judges"]) == {"expert"}
        assert b["terms"] == a["terms"]
    # the judge's number is that of the probe as a reward
    own = run(reward={judge: 6.0})
    numbers = {r["text"]: r["rewards"]["expert"] for r in rows_of(own)}
    shared = [r for r in rows_of(with_judge) if r["text"] in numbers]
    assert shared
    assert [r["judges"]["expert"] for r in shared] == pytest.approx([numbers[r["text"]] for r in shared], abs=1e-5)


@pytest.mark.parametrize("copied", [False, True])
def test_a_judge_that_is_in_the_energy_is_refused(copied: bool, tmp_path: Path) -> None:
    taste = probe_file(tmp_path, "taste", 1)
    judge = probe_file(tmp_path, "other-name", 1) if copied else taste
    with pytest.raises(RecipeError, match="is in the energy, as 'taste'"):
        run(reward={taste: 6.0}, judges=[judge])


def test_a_judge_in_a_constraint_is_refused_too(tmp_path: Path) -> None:
    taste = probe_file(tmp_path, "taste", 1)
    limit = {"constraints": [{"name": "reward", "model": taste, "max": 0.5}]}
    with pytest.raises(RecipeError, match="is in the energy"):
        run(recipe=limit, energies=OWN, judges=[taste])


class TestAClassifierAsJudge:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An encoder with a vocabulary of its own."""
        from transformers import BertConfig, BertForSequenceClassification

        path = tmp_path / "critic"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = BertConfig(
                vocab_size=90, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1}, initializer_range=0.5,
            )  # fmt: skip
            BertForSequenceClassification(config).save_pretrained(path)
        tokenizer = tiny_tokenizer(90)
        tokenizer.chat_template = None
        tokenizer.save_pretrained(path)
        return path

    def test_it_reads_texts_with_its_own_tokenizer(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification

        report = run(judges=[{"model": str(folder), "output": "good"}])
        model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), tiny_tokenizer(90)
        row = next(r for r in report.store.rows if r["text"])
        with torch.no_grad():
            logits = model.eval()(tokenizer(row["text"], return_tensors="pt").input_ids).logits
        assert row["judges"][folder.name] == pytest.approx(float(logits[0, 1]), abs=1e-5)

    def test_its_output_has_to_be_named(self, folder: Path) -> None:
        with pytest.raises(RecipeError, match="has 2 outputs"):
            run(judges=[str(folder)])
        with pytest.raises(RecipeError, match="no output 'godo'") as error:
            run(judges=[{"model": str(folder), "output": "godo"}])
        assert "did you mean 'good'" in str(error.value)
        with pytest.raises(RecipeError, match="no option 'outptu'"):
            run(judges=[{"model": str(folder), "outptu": "good"}])


def test_the_highest_reward_can_be_the_choice(tmp_path: Path) -> None:
    """A weight so small that the energy goes for probable texts."""
    reward = {probe_file(tmp_path, "taste", 1): 0.01}
    by_energy, by_reward = (rows_of(run(budgets=[16], reward=reward, select=s)) for s in ("energy", "reward"))
    pairs = list(zip(by_energy, by_reward, strict=True))
    assert all(b["rewards"]["taste"] >= a["rewards"]["taste"] for a, b in pairs)
    assert all(b["energy"] >= a["energy"] for a, b in pairs)
    assert any(b["rewards"]["taste"] > a["rewards"]["taste"] for a, b in pairs)


def test_without_matplotlib_the_plot_is_left_out_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run(out=tmp_path)
    assert not (tmp_path / PLOT).exists()
    assert plots.HINT in (tmp_path / TABLE).read_text()
    assert plots.HINT in json.loads((tmp_path / RESULTS).read_text())["notes"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"samplers": "best-of-m"}, "best-of-n"),
        ({"samplers": ""}, "NAME or LABEL=NAME"),
        ({"samplers": "tilted,tilted"}, "two methods 'tilted'"),
        ({"versus": "best-of-n@4"}, r"versus is 'best-of-n@4'\n.*a list\n.*versus=\['best-of-n@4'\]"),
        ({"budgets": [0, 4]}, "above 0"),
        ({"budgets": [-4]}, "above 0"),
        ({"budgets": [float("nan")]}, "above 0"),
        ({"budgets": [0.5]}, "at least 1"),
        ({"options": {"best-of-n": {"chains": 8}}}, "8 chains, and a budget of 4"),
        ({"options": {"best-of-n": {"chains": "many"}}}, "'many' chains"),
        ({"options": {"best-of": {"chains": 2}}}, "not compared"),
        ({"options": {"best-of-n": {"budget": 2}}}, "budgets are --budgets"),
        ({"options": {"best-of-n": {"strength": 2}}}, "strength"),
        ({"versus": ["best-of-n"]}, "METHOD@BUDGET"),
        ({"versus": ["tilted@8"]}, "not compared"),
        ({"prompts": []}, "no prompts"),
        ({"prompts": ["a", "b", "a"]}, "there twice"),
        ({"prompts": ["a", " "]}, "prompt 2 is empty"),
        ({"prompts": ["a", "word " * 600]}, "prompt 2 has"),
        ({"seeds": (0, 0)}, "different whole numbers"),
        ({"select": "judge"}, "select"),
        ({"select": "reward"}, "there is no reward"),
        ({"judges": ["critic"]}, "no reward model is called 'critic'"),
        ({"reward": {"sentimnt": 1.0}}, "sentiment"),
        ({"energies": None}, "nothing to align to"),
    ],
)
def test_mistakes_are_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(SeaError, match=message):
        run(**more)


def test_chains_are_those_of_align_at_each_budget(executed: list[float]) -> None:
    """So a small budget among the others changes none of their rows."""
    both, large = run("suffix-mh", [2, 16, 24]), run("suffix-mh", [16, 24])
    assert executed == [24, 2, 24, 2, 24, 24]
    assert [r for r in rows_of(both) if r["budget"] > 2] == [r for r in rows_of(large) if r["budget"] > 2]


def test_the_report_so_far_is_written_after_each_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Work.cell

    def interrupted(self: Work, method: Any, seed: int, index: int, *rest: Any) -> None:
        if index == 1:
            raise KeyboardInterrupt
        plain(self, method, seed, index, *rest)

    monkeypatch.setattr(Work, "cell", interrupted)
    with pytest.warns(UserWarning, match="2 of 3 prompts are finished"):
        run(out=tmp_path)
    data = json.loads((tmp_path / RESULTS).read_text())
    assert (data["prompts"], data["prompts_asked"]) == (2, 3)
    assert "the first 2 of 3 prompts (not finished)" in (tmp_path / TABLE).read_text()


def test_the_watch_ends_where_it_said(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    run("best-of-n,suffix-mh", [4, 8], out=tmp_path, watch=lambda done, total, what: seen.append((done, total)))
    assert seen[-1] == (2 * 12 * 3, 2 * 12 * 3)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


class TestPromptFiles:
    def test_every_kind_of_file_in_its_order(self, tmp_path: Path) -> None:
        import gzip

        (tmp_path / "a.txt").write_text("one\n\ntwo\none\n")
        assert read_prompts(tmp_path / "a.txt") == ["one", "two", "one"]
        assert different(read_prompts(tmp_path / "a.txt")) == ["one", "two"]
        (tmp_path / "a.csv").write_text('id,instruction\n1,"one, two"\n2,three\n')
        assert read_prompts(tmp_path / "a.csv") == ["one, two", "three"]
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"q": "one"}\n{"q": "two"}\n'))
        assert read_prompts(tmp_path / "a.jsonl.gz", "q") == ["one", "two"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.jsonl", '{"question": "one", "id": 1}\n', "has the columns 'question', 'id'"),
            ("a.jsonl", '{"instruction": 3}\n', "line 1 is 3"),
            ("a.csv", "instruction,x\n ,1\n", "row 1 is empty"),
            ("a.txt", "\n \n", "no prompts"),
            ("a.txt.gz", "not gzip", "cannot be read"),
        ],
    )
    def test_mistakes_are_named(self, name: str, content: str, message: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(content)
        with pytest.raises(RecipeError, match=message):
            read_prompts(tmp_path / name)
        with pytest.raises(RecipeError, match="there is no file"):
            read_prompts(tmp_path / "missing.txt")

    def test_some_of_them(self) -> None:
        prompts = [str(i) for i in range(20)]
        assert choose(prompts, skip=3, limit=2) == ["3", "4"]
        drawn = choose(prompts, skip=10, sample=5, seed=1)
        assert drawn == choose(prompts, skip=10, sample=5, seed=1) != choose(prompts, skip=10, sample=5, seed=2)
        assert len(set(drawn)) == 5
        assert min(map(int, drawn)) >= 10
        for wrong in ({"skip": 20}, {"sample": 21}, {"limit": 2, "sample": 2}):
            with pytest.raises(RecipeError):
                choose(prompts, **wrong)


def test_the_module_and_its_function_share_a_name() -> None:
    assert sea_toolkit.evaluation.compare.compare is compare
