"""`pareto` as a person runs it: what it prints and writes, what it refuses, and how answers are picked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.evaluation.test_compare import probe_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy on disk, a probe made for it, and prompts."""
    path = tmp_path_factory.mktemp("policy")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    probe_file(path, "taste", 1)
    (path / "prompts.txt").write_text("the rain\na\nin\n")
    return path


def run(folder: Path, *more: str) -> Result:
    short = ["--model", str(folder), "--max-new-tokens", "5", "--budget", "4", "--chains", "2", "--answers", "4"]
    terms = ["--reward", f"{folder}/taste.safetensors", "--energy", "length,target=3"]
    terms += [] if "--weights" in more else ["--weights", "grid:3"]
    return invoke("pareto", folder / "prompts.txt", *short, *terms, *more)


def test_tables_what_differs_picks_and_where_they_are(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "front.svg"
    result = run(folder, "--out", str(tmp_path / "out"), "--pick", "knee", "--plot", str(picture))
    assert result.exit_code == 0, result.output
    for words in (
        "Over 3 prompts, 3 weights (grid:3), 16 nats", "taste (higher is better)", "length (lower is better)",
        "sweep 0.5, 0.5", "sweep − best-of-n, hypervolume: ", "met under", "written to",
    ):  # fmt: skip
        assert words in " ".join(result.stdout.split()), words
    assert picture.read_text().startswith("<?xml")
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")) == [
        "pareto.json", "plot.png", "results.json", "rows.jsonl", "table.md",
    ]  # fmt: skip


def test_json_alone_and_every_flag_reaches_the_sweep(folder: Path) -> None:
    more = ["--objective", "length", "--objective", "taste", "--strength", "4000", "--no-best-of-n", "--prompted"]
    more += ["short=Be brief.", "--limit", "2", "--skip", "1", "--batch", "1", "--json", "--pick", "1,0", "--seed", "3"]
    result = run(folder, *more, "--pick", "length <= 99")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [o["label"] for o in data["objectives"]] == ["length", "taste"]
    assert data["methods"] == {"sweep": {}, "prompted": {"short": "Be brief."}}
    assert (data["prompts"], data["strength"], data["batch"], data["recipe"]["seed"]) == (2, 4000.0, 1, 3)
    # 4000 nats for a unit of length, beside which −log π of five tokens is nothing
    shortest = [min(text["values"]["length"] for text in front["texts"]) for front in data["fronts"]]
    assert [pick["values"]["length"] for pick in data["picks"]] == shortest


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--pick", "lenght <= 3"], "'lenght' is no objective"),
        (["--weights", "0,0"], "all 0"),
        (["--objective", "taste"], "fewer than two objectives: taste"),
        (["--plot", "front.bmp"], ".png, .svg or .pdf"),
        (["--pick", "length <= -1", "--no-best-of-n"], "no text that was met has length <= -1; the nearest has length"),
    ],
)
def test_a_mistake_is_a_message(folder: Path, more: list[str], words: str) -> None:
    result = run(folder, *more)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
