"""Shards: the same bytes however often workers are killed, and prompts that cannot be answered are found and named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.shards.merge import results, write_jsonl
from sea_toolkit.shards.part import Part
from sea_toolkit.shards.standing import Standing
from sea_toolkit.shards.store import Store
from sea_toolkit.shards.worker import ShardWorker
from sea_toolkit.util import run_files
from sea_toolkit.work.alike import OtherWorkerError
from sea_toolkit.work.attempts import Attempts
from tests.shards.conftest import PROMPTS, Many, die, ended, lengths


def test_five_kills_and_two_workers_at_once_change_no_byte(serial: bytes, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.write_bytes(b"")

    def score(prompts: list[str], texts: list[str]) -> list[float]:
        with open(calls, "ab") as file:
            file.write(b".")
        for when in (2, 9, 17, 26, 33):  # before a first checkpoint, and after
            if calls.stat().st_size >= when and not (tmp_path / f"killed-{when}").exists():
                (tmp_path / f"killed-{when}").touch()
                die()
        return lengths(prompts, texts)

    many = Many(tmp_path / "out", score)
    codes: list[int] = []
    while len(many.store.settled()) < 6:
        codes += [ended(worker) for worker in [many.fork(), many.fork()]]
    assert codes.count(-9) >= 5  # both may die of one count
    assert set(codes) == {-9, 0}
    assert many.merged() == serial


def test_a_prompt_that_is_given_again_keeps_a_stream_of_its_own_in_another_shard(serial: bytes) -> None:
    rows = [json.loads(line) for line in serial.splitlines()]
    assert [row["index"] for row in rows] == list(range(12))
    assert [row["prompt"] for row in rows] == PROMPTS
    assert len({row["base_response"] for row in rows if row["prompt"] == "the rain"}) == 3


def test_a_prompt_that_fails_is_named_and_the_others_are_answered(serial: bytes, tmp_path: Path) -> None:
    broken = True

    def score(prompts: list[str], texts: list[str]) -> list[float]:
        if broken and "so" in prompts:
            raise ValueError("no so")
        return lengths(prompts, texts)

    many = Many(tmp_path / "out", score)
    many.work()
    standing = Standing.of(many.store)
    assert (standing.answered, standing.settled, standing.is_whole) == (11, 6, True)
    (failed,) = standing.failed
    assert (failed["index"], failed["prompt"], failed["attempts"]) == (9, "so", 3)
    assert "no so" in failed["error"]
    before = many.merged().splitlines()
    assert [json.loads(line)["index"] for line in before] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert before[:8] == serial.splitlines()[:8]

    broken = False
    many.store.retry_failed()
    assert not Standing.of(many.store).is_whole
    many.work()
    after = many.merged().splitlines()
    assert Standing.of(many.store).failed == []
    assert after[:9] + after[10:] == before
    assert json.loads(after[9])["prompt"] == "so"


def test_a_prompt_that_kills_is_found_by_those_who_come_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sea_toolkit.work.attempts.ATTEMPTS", 2)

    def score(prompts: list[str], texts: list[str]) -> list[float]:
        if "b" in prompts:
            die()
        return lengths(prompts, texts)

    many = Many(tmp_path / "out", score)
    codes = []
    while not Standing.of(many.store).is_whole:
        codes.append(ended(many.fork()))
    assert codes == [-9] * 4 + [0]
    assert [(f["prompt"], f["error"]) for f in many.store.failed()] == [("b", "it ended the process 2 times")]
    assert len(many.merged().splitlines()) == 11


def test_deaths_count_only_where_the_run_comes_no_further(tmp_path: Path) -> None:
    for when in (1, 2, 3, 4):
        os.utime(_checkpoint(tmp_path), ns=(when, when))
        Attempts.read(tmp_path).begin(tmp_path)
    assert not Attempts.read(tmp_path).are_over
    for _ in range(2):
        Attempts.read(tmp_path).begin(tmp_path)
    assert Attempts.read(tmp_path).are_over


def _checkpoint(folder: Path) -> Path:
    path = folder / run_files.CHECKPOINT
    path.touch()
    return path


def test_where_nothing_can_be_answered_it_is_not_the_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sea_toolkit.work.attempts.ATTEMPTS", 1)

    def score(prompts: list[str], texts: list[str]) -> list[float]:
        raise ConnectionError("the server is down")

    many = Many(tmp_path / "out", score)
    with pytest.raises(SeaError, match=r"3 shards in a row had no answer.*\n?.*the server is down"):
        many.work()
    assert (many.store.failed(), many.store.settled()) == ([], set())
    many.score = lengths
    many.work()
    assert Standing.of(many.store).answered == 12


def test_ctrl_c_is_no_attempt(tmp_path: Path) -> None:
    def score(prompts: list[str], texts: list[str]) -> list[float]:
        raise KeyboardInterrupt

    many = Many(tmp_path / "out", score)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            many.work()
    assert Attempts.read(many.store.working_folder(0)).count == 0
    assert Standing.of(many.store).working == []


def test_another_worker_is_refused_by_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = Many(tmp_path / "out")
    many.work(range(1))
    identity = run_files.read_sealed(many.folder / "identity.json")
    other = {**identity, "models": {"policy": "0" * 64}, "reading": {**identity["reading"], "prompts": "x"}}
    with pytest.raises(OtherWorkerError, match=r"models\.policy: .* then, 000000000000… now"):
        many.store.require(other)
    monkeypatch.setattr("sea_toolkit.runs.manifest.VERSION", "99")
    with pytest.raises(OtherWorkerError, match=r"sea_toolkit: .* then, 99 now"):
        ShardWorker(many.store, many.session, many.compose)


def test_what_is_not_done_is_not_merged_and_what_was_edited_is_named(serial: bytes, tmp_path: Path) -> None:
    many = Many(tmp_path / "out")
    many.work(range(5))
    with pytest.raises(SeaError, match="1 of 6 shards"):
        write_jsonl(many.store, tmp_path / "r.jsonl")
    assert not (tmp_path / "r.jsonl").exists()
    many.work()
    a, b = (many.store.settled_folder(shard) for shard in (1, 2))
    a.rename(tmp_path / "a")
    b.rename(a)
    (tmp_path / "a").rename(b)
    with pytest.raises(SeaError, match="not the finished run of these prompts"):
        list(results(many.store))


def test_the_prompts_of_a_folder_are_those_of_its_plan(tmp_path: Path) -> None:
    many = Many(tmp_path / "out")
    path = many.folder / "prompts.jsonl"
    path.write_bytes(path.read_bytes().replace(b"and", b"sad"))
    with pytest.raises(SeaError, match=r"prompts.jsonl is damaged"):
        Store(many.folder).rows(0)


def test_parts_share_out_the_shards() -> None:
    parts = [Part.parse(f"{i}/3").shards(7) for i in (1, 2, 3)]
    assert sorted(k for part in parts for k in part) == list(range(7))
    for wrong in ("0/3", "4/3", "3", "a/b", "-1/2", "1/0"):
        with pytest.raises(RecipeError, match="i/N"):
            Part.parse(wrong)
