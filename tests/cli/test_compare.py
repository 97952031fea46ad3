"""`compare` as a person runs it: what it prints and writes, what it refuses, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.evaluation.test_compare import probe_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy on disk, two probes made for it, and prompts."""
    path = tmp_path_factory.mktemp("policy")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    probe_file(path, "taste", 1)
    probe_file(path, "expert", 2)
    (path / "prompts.jsonl").write_text("".join(json.dumps({"q": q, "n": 1}) + "\n" for q in ("the rain", "a", "in")))
    (path / "prompts.txt").write_text("the rain\na\nin\n")
    return path


def arguments(folder: Path, *more: str) -> list[str]:
    short = ["--model", str(folder), "--max-new-tokens", "5", "--reward", f"{folder}/taste.safetensors=6"]
    return [
        "compare",
        str(folder / "prompts.txt"),
        *short,
        "--samplers",
        "best-of-n,suffix-mh",
        "--budgets",
        "4,8",
        *more,
    ]


def run(folder: Path, *more: str) -> Result:
    return invoke(*arguments(folder, *more))


def test_a_table_the_differences_and_where_they_are(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--judge", f"{folder}/expert.safetensors", "--out", str(tmp_path / "out"), "--batch", "2")
    assert result.exit_code == 0, result.output
    for words in ("Over 3 prompts", "lowest re-scored energy", "suffix-mh", "best-of-n@8 − suffix-mh@8", "written to"):
        assert words in result.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")) == [
        "compare.json", "plot.png", "results.json", "rows.jsonl", "table.md",
    ]  # fmt: skip


def test_json_alone_and_every_flag_reaches_the_comparison(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('max_new_tokens = 40\nsampler = { name = "tilted", strength = 1.0, chains = 2, budget = 9 }\n')
    more = ["--samplers", "mild=tilted,strong=tilted,best-of-n", "--option", "strong.strength=6", "--json"]
    more += ["--option", "best-of-n.chains=1", "--seeds", "0,2", "--versus", "best-of-n@6", "--select", "reward"]
    more += [
        "--recipe",
        str(recipe),
        "--energy",
        "length=0.5,target=3",
        "--set",
        "energies.0.weight=0.5",
        "--limit",
        "2",
    ]
    result = run(folder, *more, "--skip", "1")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["methods"] == {
        "mild": {"sampler": "tilted", "strength": 1.0, "chains": 2},
        "strong": {"sampler": "tilted", "strength": 6, "chains": 2},
        "best-of-n": {"sampler": "best-of-n", "chains": 1},
    }
    assert (data["prompts"], data["seeds"], data["select"]) == (2, [0, 2], "reward")
    terms = {t["name"]: t["weight"] for t in data["recipe"]["energies"]}
    assert terms == {"reference": 0.5, "reward": 6.0, "length": 0.5}
    assert {(c["method"], c["budget"]) for c in data["cells"] if c["method"] == "best-of-n"} == {
        ("best-of-n", 4), ("best-of-n", 6), ("best-of-n", 8),
    }  # fmt: skip
    assert {"reward:taste", "nll_per_token", "energy", "distinct_2_within"} == set(data["cells"][0]["mean"])
    assert {
        "distinct_2",
        "unfinished",
        "tokens",
        "samples",
        "seconds_per_prompt",
        "peak_memory_mb",
        "acceptance",
    } <= set(data["cells"][1])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--samplers", "tillted"], ["tilted"]),
        (["--judge", "sentimnt"], ["did you mean 'sentiment'"]),
        (["--budgets", "4,many"], ["--budgets 4,many", "8,16,32"]),
        (["--budgets", "0"], ["numbers above 0"]),
        (["--option", "suffix-mh.chains=6"], ["6 chains, and a budget of 4", "--option suffix-mh.chains=4"]),
        (["--option", "suffix-mh=6"], ["LABEL.KEY=VALUE"]),
        (["--seeds", "one"], ["--seeds one"]),
        (["--skip", "3"], ["leaves none"]),
        (["--judge", "sentiment,output"], ["OPTION=VALUE"]),
    ],
)
def test_mistakes_are_messages(folder: Path, more: list[str], words: list[str]) -> None:
    result = run(folder, *more)
    assert result.exit_code in (1, 2), result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    for word in words:
        assert word in result.stderr


def test_prompts_come_by_standard_input_too() -> None:
    nothing = invoke("compare", "-", "--samplers", "tilted", stdin="\n")
    assert (nothing.exit_code, "standard input has no prompts" in nothing.stderr) == (2, True)
    some = invoke("compare", "-", "--samplers", "tilted", "--skip", "2", stdin="a\nb\na\n")
    assert "there are 2 prompts, and --skip 2 leaves none" in some.stderr


def test_a_missing_column_lists_those_there_are(folder: Path) -> None:
    result = invoke("compare", folder / "prompts.jsonl", *arguments(folder)[2:])
    assert result.exit_code == 2
    assert "has the columns 'q', 'n'" in result.stderr


def test_the_folder_of_another_comparison_is_refused(folder: Path, tmp_path: Path) -> None:
    assert run(folder, "--out", str(tmp_path), "--limit", "1").exit_code == 0
    result = run(folder, "--out", str(tmp_path), "--limit", "2")
    assert result.exit_code == 1
    assert "what differs: prompts" in result.stderr


def test_ctrl_c_keeps_the_rows_and_the_same_command_goes_on(folder: Path, tmp_path: Path) -> None:
    given = arguments(folder, "--out", str(tmp_path / "out"), "--batch", "1", "--seeds", "0,1")
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sea_toolkit.cli", *given],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a suite that runs in the background of a shell ignores SIGINT, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    rows = tmp_path / "out" / "rows.jsonl"
    while process.poll() is None and not (rows.exists() and rows.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    kept = rows.read_text()
    assert kept
    result = invoke(*given, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["prompts"] == 3
    assert rows.read_text().startswith(kept)
    assert len(rows.read_text().splitlines()) == 3 * 2 * (2 * 2 + 1)
