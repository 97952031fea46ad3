"""`align` and `resume` as a person runs them: what they print, what they refuse, and how they end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.helpers import tiny_probe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy on disk, and a probe made for it beside it."""
    path = tmp_path_factory.mktemp("policy")
    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    tiny_probe(name="taste", model="tiny", seed=1).save(path / "taste.safetensors")
    return path


def run(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    """`sea-toolkit align … --model FOLDER` with short answers."""
    short = ["--model", str(folder), "--max-new-tokens", "8"]
    return invoke("align", *short, *arguments, stdin=stdin)


def taste(folder: Path, weight: float = 8) -> str:
    return f"--reward={folder}/taste.safetensors={weight}"


def refused(result: Result, code: int, *words: str) -> None:
    """The error is a message on stderr and nothing else."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_json_is_one_object_and_the_same_twice(folder: Path) -> None:
    arguments = ("the rain", taste(folder), "--json", "--seed", "3", "--budget", "12")
    found = []
    for _ in range(2):
        result = run(folder, *arguments)
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)
        del data["ledger"]["seconds"], data["ledger"]["peak_memory_mb"]
        found.append(data)
    assert found[0] == found[1]
    data = found[0]
    assert {"prompt", "base_response", "response", "terms", "nll_per_token", "ledger", "chains"} <= set(data)
    assert data["prompt"] == "the rain"
    assert set(data["terms"]) == {"reference", "taste"}
    assert set(data["terms"]["taste"]) == set(data["nll_per_token"]) == {"before", "after"}
    assert data["rewards"]["taste"]["after"] == -data["terms"]["taste"]["after"]
    assert data["energy"]["after"] <= data["energy"]["before"]
    assert data["sampler"] == "tilted"


def test_the_seed_changes_the_answer(folder: Path) -> None:
    one, two = (json.loads(run(folder, "the rain", taste(folder), "--json", "--seed", s).stdout) for s in "12")
    assert one["base_response"] != two["base_response"]


def test_a_person_sees_before_and_after(folder: Path) -> None:
    result = run(folder, "the rain", taste(folder), "--sampler", "best-of-n", "--budget", "8", "--chains", "4")
    assert result.exit_code == 0, result.output
    for words in ("base answer", "aligned answer", "reward taste", "−log π per token", "samples per prompt"):
        assert words in result.stdout


@pytest.mark.parametrize("way", ["arguments", "file", "stdin", "dash"])
def test_prompts_come_from_arguments_a_file_or_stdin(folder: Path, tmp_path: Path, way: str) -> None:
    prompts, stdin = ["the rain", "in and on"], None
    rest = [taste(folder), "--json", "--sampler", "best-of-n", "--budget", "4", "--chains", "2"]
    if way == "arguments":
        rest = [*prompts, *rest]
    elif way == "file":
        (tmp_path / "prompts.txt").write_text("\n".join(prompts) + "\n\n")
        rest += ["--prompts", str(tmp_path / "prompts.txt")]
    else:
        stdin = "\n".join(prompts)
        rest += ["--prompts", "-"] if way == "dash" else []
    result = run(folder, *rest, stdin=stdin)
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["prompt"] for line in result.stdout.splitlines()] == prompts


def test_every_flag_reaches_the_recipe(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('seed = 9\nmax_new_tokens = 30\nsampler = { name = "sea", steps = 2 }\n')
    flags = ["--recipe", str(recipe), "--seed", "4", "--chains", "3", "--sampler", "sea-adam", "--template", "plain"]
    flags += ["--set", "sampler.learning_rate=0.3", "--energy", "length=0.5,target=6", "--dtype", "float32"]
    flags += ["--device", "cpu", "--checkpoint-every", "1", "--out", str(tmp_path / "run"), "--draft", "the end"]
    result = run(folder, "the rain", taste(folder, 2), *flags)
    assert result.exit_code == 0, result.output
    saved = json.loads((tmp_path / "run" / "recipe.json").read_text())
    kept = saved["recipe"]
    assert saved["checkpoint_every"] == 1
    assert kept["seed"] == 4
    assert kept["max_new_tokens"] == 8
    assert kept["sampler"] == {"name": "sea-adam", "steps": 2, "chains": 3, "learning_rate": 0.3}
    assert kept["policy"]["template"] == "plain"
    assert kept["policy"]["dtype"] == "float32"
    assert kept["initializer"] == {"name": "draft", "text": "the end"}
    assert [(t["name"], t["weight"]) for t in kept["energies"]] == [
        ("reference", 1.0),
        ("reward", 2.0),
        ("length", 0.5),
    ]
    assert json.loads((tmp_path / "run" / "result.json").read_text())[0]["base_response"] == "the end"


def test_what_cannot_be_asked_for(folder: Path, tmp_path: Path) -> None:
    good = taste(folder)
    refused(run(folder, "hi"), 2, "no reward was given", "sentiment")
    refused(run(folder, "hi", "--reward", "sentimant"), 1, "sentimant", "did you mean 'sentiment'")
    refused(run(folder, "hi", "--energy", "lenght=1"), 2, "lenght", "did you mean 'length'")
    refused(run(folder, "hi", "--energy", "length=1,targt=3"), 2, "targt", "did you mean 'target'")
    refused(run(folder, "hi", good, "--sampler", "tiltd"), 2, "did you mean 'tilted'")
    refused(run(folder, "hi", good, "--set", "sampler.name=sea", "--set", "sampler.stepsize=1"), 2, "'step_size'")
    refused(run(folder, "hi", good, "--set", "polcy.model=x"), 2, "polcy", "did you mean 'policy'")
    refused(run(folder, "hi", good, "--chains", "0"), 2, "chains is 0", "greater than 0")
    refused(run(folder, "hi", good, "--steps", "0"), 2, "steps is 0")
    refused(run(folder, "hi", good, "--budget", "1", "--chains", "4"), 2, "a budget of 1 samples", "at least 4")
    refused(run(folder, "", good), 2, "prompt 1 is empty")
    refused(run(folder, good, stdin="\n\n"), 2, "standard input has no prompts")
    refused(run(folder, "the " * 600, good), 2, "tokens", "at most 512")
    refused(run(folder, "hi", f"--reward={folder}/taste.safetensors=heavy"), 2, "'heavy'", "a number")
    refused(run(folder, "hi", good, "--recipe", str(tmp_path / "none.toml")), 2, "none.toml cannot be read")
    refused(run(folder, "hi", good, "--device", "quantum"), 2, "quantum")
    refused(run(tmp_path / "nowhere", "hi", good), 1, "nowhere")


def test_a_probe_of_another_policy_needs_its_model(folder: Path, tmp_path: Path) -> None:
    tiny_model("llama", num_hidden_layers=3).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    refused(run(tmp_path, "hi", taste(folder)), 1, "the probe taste reads tiny, which is not the policy and cannot be")


def test_a_damaged_probe_and_damaged_weights_are_named(folder: Path, tmp_path: Path) -> None:
    probe = tmp_path / "cut.safetensors"
    probe.write_bytes((folder / "taste.safetensors").read_bytes()[:100])
    refused(run(folder, "hi", f"--reward={probe}=1"), 1, "cut.safetensors", "corrupt")
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    refused(run(tmp_path, "hi", taste(folder)), 1, "are not whole", "model.safetensors")


def test_a_folder_that_cannot_be_written_costs_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run(folder, "hi", taste(folder), "--out", str(tmp_path / "file" / "run")), 1, "cannot use")
    assert run(folder, "hi", taste(folder), "--out", str(tmp_path / "run")).exit_code == 0
    before = (tmp_path / "run" / "result.json").read_bytes()
    refused(run(folder, "hi", taste(folder), "--out", str(tmp_path / "run")), 1, "holds a run already", "resume")
    assert (tmp_path / "run" / "result.json").read_bytes() == before


def test_a_one_file_plugin_works_and_its_failures_are_named(folder: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "sea_mine.py"
    plugin.write_text(
        "import sea_toolkit as sea\n\n@sea.hookimpl\ndef sea_register_energies(register):\n"
        "    @register('brief')\n    def brief(response, *, per_token: float = 0.5):\n"
        "        '''Energy per token.'''\n        return per_token * response.expected_length()\n"
        "    @register('late')\n    def late(response):\n        '''Fails.'''\n        raise ValueError('no idea')\n"
    )
    result = run(folder, "hi", "--plugin", str(plugin), "--energy", "brief=2,per_token=1.5", "--json")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["terms"]) == {"reference", "brief"}
    refused(run(folder, "hi", "--plugin", str(plugin), "--energy", "late"), 1, "late", "ValueError: no idea")


def test_resume_needs_a_run(tmp_path: Path) -> None:
    result = invoke("resume", tmp_path)
    refused(result, 1, "cannot read", "the folder of a run")


def test_a_dry_run_shows_recipe_terms_and_cost_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    asked = ["the rain", "in and on", taste(folder, 3), "--energy", "length=0.5,target=6", "--dry-run"]
    data = json.loads(run(folder, *asked, "--budget", "6", "--json").stdout)
    sampler = data["recipe"]["sampler"]
    assert (sampler["name"], sampler["chains"], sampler["budget"], sampler["strength"]) == ("tilted", 2, 6.0, 4.0)
    assert data["recipe"]["energies"][2] == {
        "name": "length", "tolerance": 10.0, "weight": 0.5, "active": [0.0, 1.0], "target": 6
    }  # fmt: skip
    assert data["recipe"]["policy"]["device"] == "cpu"
    assert [t["label"] for t in data["terms"]] == ["reference", "taste", "length"]
    assert sum(t["share"] for t in data["terms"]) == pytest.approx(1.0)
    assert all(t["low"] <= t["high"] and t["nats"] >= 0 for t in data["terms"])
    assert (data["prompts"], data["samples"]) == (2, 6.0)
    assert data["seconds"] > 0 < data["memory_mb"]
    assert not any("no step" in note for note in data["notes"])
    poor = json.loads(run(folder, *asked, "--budget", "1", "--json").stdout)
    assert any(note.startswith("perhaps no step will be taken: the budget is 1, and") for note in poor["notes"])
    shown = run(folder, *asked, "--steps", "2", "--chains", "2", "--energy", "regex=0,pattern=a").stdout
    for words in ("chains", "reward taste", "energy −log π", "share of the energy", "contradiction: regex has"):
        assert words in shown
    spent = float(shown.partition("would spend ")[2].split()[0])
    assert 4 < spent < 15  # two chains draw and score, then each takes two steps
    refused(run(folder, *asked, "--out", str(tmp_path / "run")), 2, "--dry-run writes no files")
    assert not (tmp_path / "run").exists()


def test_many_prompts_end_in_a_table_with_means_and_a_csv_file(folder: Path, tmp_path: Path) -> None:
    prompts = [f"the rain {i}" for i in range(6)]
    result = run(folder, *prompts, taste(folder), "--budget", "4", "--csv", str(tmp_path / "t.csv"))
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) < 20
    for words in ("prompt", "−log π per token", "ended", "mean of 6", "the rain 5"):
        assert words in result.stdout
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert [row["prompt"] for row in rows] == prompts
    for row in rows:
        assert float(row["energy after"]) <= float(row["energy before"])
        assert row["finished after"] in ("True", "False")
        assert float(row["reward taste after"]) == -float(row["term taste after"])
        assert ("the answer is cut" in row["notes"]) == (row["finished after"] == "False")
    refused_ = run(folder, "the rain", taste(folder), "--budget", "2", "--csv", str(tmp_path / "t.csv" / "x"))
    assert refused_.exit_code == 1
    assert "error: cannot write" in refused_.stderr


def test_a_page_says_what_was_cut_which_term_paid_and_why_the_others_lost(folder: Path) -> None:
    result = run(folder, "the rain", taste(folder), "--energy", 'keywords=2,words=["zebra"]', "--budget", "12")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    for words in (
        "Δ(weight·term)",
        "best candidates",
        "chosen: the lowest energy",
        "…",
        "unmet: keywords: without 'zebra'",
    ):
        assert words in shown
    assert "candidates ended by themselves" in shown
