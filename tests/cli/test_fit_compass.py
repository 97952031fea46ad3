"""`sea-toolkit fit-compass`: a file that the next run starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.problem.compass_file import read_compass
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke

REWARD = "def vowels(text: str) -> float:\n    return 4.0 * sum(c in 'aeiou' for c in text) / max(1, len(text))\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit-compass")
    tiny_model("llama").save_pretrained(path / "policy")
    tiny_tokenizer().save_pretrained(path / "policy")
    (path / "prompts.txt").write_text("the rain\na town\nthe sea\n", encoding="utf-8")
    (path / "mine.py").write_text(REWARD, encoding="utf-8")
    return path


def run(command: str, folder: Path, *arguments: object) -> Result:
    code = f"{folder / 'mine.py'}:vowels"
    common = ["--model", folder / "policy", "--allow-code", code, "--max-new-tokens", 6]
    return invoke(command, *arguments, *common, environment={"SEA_PLUGINS": ""})


def test_single_words_are_scored_at_a_cost_that_is_said_and_a_run_starts_from_them(folder: Path, tmp_path: Path):
    reward, out = f"{folder / 'mine.py'}:vowels=8", tmp_path / "c.safetensors"
    words = [folder / "prompts.txt", "--reward", reward, "--out", out, "--words", 80, "--limit", 2]
    made = run("fit-compass", folder, *words)
    assert made.exit_code == 0, made.output
    assert "at most 210 texts" in made.stderr
    assert "compass of vowels: single words, 2 prompts" in made.stdout
    assert f"wrote {out}" in made.stdout
    assert (read_compass(out).info.prompts, read_compass(out).info.max_new_tokens) == (2, 6)
    again = run("fit-compass", folder, *words)
    assert again.exit_code == 2
    assert "exists already; nothing was changed" in again.stderr
    assert json.loads(run("fit-compass", folder, *words, "--force", "--json").stdout)["source"] == "words"
    short = ["--sampler", "tilted", "--budget", 12, "--json"]
    aligned = run("align", folder, "the rain", "--reward", f"{reward},compass={out}", *short)
    assert aligned.exit_code == 0, aligned.output
    other = run("align", folder, "the rain", "--energy", f"length=1,target=4,compass={out}", *short)
    assert other.exit_code == 2
    assert "is no compass of 'length'" in other.stderr


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_loaded(folder: Path, tmp_path: Path):
    for out, said in (("c.txt", "name ending in .safetensors"), ("none/c.safetensors", "does not exist")):
        result = run("fit-compass", folder, tmp_path / "missing.txt", "--reward", "sentiment", "--out", tmp_path / out)
        assert result.exit_code in (1, 2)
        assert said in result.stderr
