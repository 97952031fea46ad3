"""A file of prompts into one folder, from the command line: parts, how far it is, and one table at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.commands import invoke
from tests.models.folders import save_with_plugin

PLUGIN = """
import pathlib
import sea_toolkit as sea

def mine(prompts, texts):
    if pathlib.Path(__file__).with_name("broken").exists() and "so" in prompts:
        raise ValueError("no so")
    return [float(len(text)) for text in texts]

@sea.hookimpl
def sea_register_energies(register):
    register("mine", mine, summary="short texts")
"""
LINES = ['{"prompt": "the rain", "id": 1}', "{", '{"prompt": "so", "id": 2}', '{"id": 3}', '{"prompt": "a", "id": 4}']


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy, a one-file plugin, and a file of five rows, two of them broken."""
    path = save_with_plugin(tmp_path_factory.mktemp("place"), PLUGIN)
    (path / "p.jsonl").write_text("\n".join(LINES))
    return path


def align(place: Path, *more: object) -> Result:
    return invoke(
        "align", "--prompts", place / "p.jsonl", "--model", place / "model", "--plugin", place / "mine.py",
        "--energy", "mine=1", "--sampler", "suffix-mh", "--steps", 1, "--chains", 1, "--max-new-tokens", 3, *more,
    )  # fmt: skip


def test_parts_are_answered_apart_failures_are_named_and_one_table_comes_out(place: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "all.jsonl"
    (place / "broken").touch()
    first = align(place, "--skip-bad", "--batch", 1, "--out", out, "--shard", "2/2")
    assert first.exit_code == 3
    assert "0 of 3 prompts have an answer, 1 of 3 shards are done" in first.output
    assert "prompt 1 ('so'): energy 'mine'" in first.stderr
    assert "line 2 is not JSON" in first.stderr
    assert "line 4 has no 'prompt'" in first.stderr
    assert invoke("merge", out, "--to", table).exit_code == 1

    again = align(place, "--skip-bad", "--batch", 1, "--out", out, "--shard", "1/2")
    assert "2 of 3 prompts have an answer, 3 of 3 shards are done" in again.output
    status = json.loads(invoke("status", out, "--json").stdout)
    assert (status["answered"], status["working"], len(status["failed"]), len(status["skipped"])) == (2, [], 1, 2)
    assert "3 of 3 shards are done" in invoke("status", out).stdout
    merged = invoke("merge", out, "--to", table)
    assert (merged.exit_code, "2 answers in" in merged.output) == (3, True)

    (place / "broken").unlink()
    assert invoke("resume", out, "--plugin", place / "mine.py", "--retry-failed").exit_code == 0
    assert invoke("merge", out, "--to", table).exit_code == 0
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert [(r["index"], r["prompt"], r["columns"]) for r in rows] == [
        (0, "the rain", {"id": 1}), (1, "so", {"id": 2}), (2, "a", {"id": 4})
    ]  # fmt: skip

    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra data is not installed")
    assert invoke("merge", out, "--to", tmp_path / "all.parquet").exit_code == 0
    columns = parquet.read_table(tmp_path / "all.parquet").to_pydict()
    assert columns["response"] == [row["response"] for row in rows]
    assert columns["energy"] == [row["energy"] for row in rows]

    other = align(place, "--skip-bad", "--batch", 2, "--out", out)
    assert (other.exit_code, "batch: 1 then, 2 now" in other.stderr) == (2, True)
    assert invoke("show", out / "shards" / "00000").exit_code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--batch", "1", "--out", "x", "--json"], "sea-toolkit merge"),
        (["--batch", "1", "--out", "x", "--max-seconds", "1"], "must not depend on a clock"),
        (["--batch", "1", "--out", "x", "--shard", "3/2"], "i/N"),
        (["--batch", "1", "--shard", "1/2"], "--batch N and --out DIR"),
        ([], "line 2 is not JSON"),
    ],
)
def test_what_means_nothing_for_a_folder_of_prompts_is_refused(
    more: list[str], words: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = align(place, *(["--skip-bad"] if more else []), *more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", [("status",), ("merge", "--to", "all.jsonl"), ("merge", "--to", "all.txt")])
def test_a_folder_that_is_none_of_prompts_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    result = invoke(words[0], tmp_path, *words[1:])
    assert result.exit_code == 2
    said = "ends in .jsonl or .parquet" if "all.txt" in words else "align --prompts FILE --batch N --out DIR"
    assert said in result.stderr
    assert ("is no folder" in invoke(words[0], tmp_path / "none", *words[1:]).stderr) == ("all.txt" not in words)


def test_one_run_has_no_parts_and_nothing_to_retry(place: Path, tmp_path: Path) -> None:
    assert invoke("resume", tmp_path, "--retry-failed").exit_code == 2
    assert invoke("resume", tmp_path, "--shard", "1/2").exit_code == 2
    wrong = invoke("align", "a", "--skip-bad", "--energy", "length=1,target=3")
    assert (wrong.exit_code, "--skip-bad without a table" in wrong.stderr) == (2, True)
