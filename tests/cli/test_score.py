"""`sea-toolkit score`: a table for people, JSON for programs, a line for each answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from sea_toolkit.util import run_files
from tests.cli.commands import invoke

ROWS = [{"prompt": "the rain", "response": "a town"}, {"prompt": "the sea", "response": "is it on"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("score")
    tiny_model("llama").save_pretrained(path / "policy")
    tiny_tokenizer().save_pretrained(path / "policy")
    (path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def score(folder: Path, *arguments: str, table: str = "answers.jsonl") -> Result:
    fixed = ["score", str(folder / table), "--model", str(folder / "policy"), "--device", "cpu"]
    return invoke(*fixed, *arguments)


def test_people_and_programs_and_a_file_get_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    energy = ["--energy", "length=2,target=4", "--set", 'constraints=[{name="regex", pattern="w", max=0.5}]']
    shown = score(folder, *energy, "--out", str(out))
    assert shown.exit_code == 0, shown.output
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert lines == json.loads(score(folder, *energy, "--json").stdout)
    assert [line["text"] for line in lines] == [row["response"] for row in ROWS]
    assert [line["kept"] for line in lines] == [True, False]
    assert "regex limit: kept by 1 of 2" in shown.output
    mean = sum(line["energy"] for line in lines) / 2
    assert f"{mean:.3f}" in next(line for line in shown.output.splitlines() if line.startswith("energy"))
    again = score(folder, *energy, "--out", str(out))
    assert again.exit_code != 0
    assert "is there already" in again.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--answer", "reply"], "one of: response"),
        (["--out", "no/such/folder/x.jsonl"], "in no folder"),
        (["--column", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before_a_model_is_loaded(
    folder: Path, arguments: list[str], message: str
) -> None:
    done = score(folder, "--model", "no-such-model", *arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_an_answer_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "broken.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + '{"prompt": "a", "response": 7}\n')
    done = score(folder, table="broken.jsonl")
    assert done.exit_code == 2
    assert "row 2: response is 7" in done.output


def test_a_full_disk_loses_no_score(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise run_files.cannot_write(path, OSError(28, "No space left on device"))

    monkeypatch.setattr(run_files, "write_run_file", full)
    done = score(folder, "--energy", "length=2,target=4", "--json", "--out", str(tmp_path / "scored.jsonl"))
    assert done.exit_code == 1
    assert len(json.loads(done.stdout)) == 2
    assert "No space left on device" in done.stderr
