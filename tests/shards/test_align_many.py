"""Many prompts from Python: the folder of the command, with an engine and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sea_toolkit as sea
from tests.models.folders import save_with_plugin

PROMPTS = ["the rain", "in", "the rain"]
PLUGIN = """
import pathlib
import sea_toolkit as sea

def mine(prompts, texts):
    if pathlib.Path(__file__).with_name("broken").exists() and "in" in prompts:
        raise ValueError("no in")
    return [float(len(text)) for text in texts]

def backwards(job, tell):
    worker = job.worker()
    worker.load()
    for piece in job.left()[::-1]:
        assert worker.run(piece)
        tell(piece)

@sea.hookimpl
def sea_register_energies(register):
    register("mine", mine)

@sea.hookimpl
def sea_register_engines(register):
    register("backwards", backwards)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_with_plugin(tmp_path_factory.mktemp("place"), PLUGIN)


def many(place: Path, out: Path, **more: Any) -> sea.ManyAnswers:
    given: dict[str, Any] = {
        "batch": 2, "energies": {"mine": {"name": "mine"}}, "model": str(place / "model"), "sampler": "suffix-mh",
        "steps": 1, "chains": 1, "max_new_tokens": 3, "hub": sea.PluginHub.discover(files=[place / "mine.py"]),
    }  # fmt: skip
    return sea.align_many(PROMPTS, out=out, **{**given, **more})


def test_the_table_is_the_same_with_an_engine_and_a_call_goes_on(place: Path, tmp_path: Path) -> None:
    (place / "broken").touch()
    answers = many(place, tmp_path / "here")
    assert [entry["index"] for entry in answers.standing.failed] == [1]
    assert [result is None for result in answers] == [False, True, False]
    (place / "broken").unlink()
    assert many(place, tmp_path / "here").standing.answered == 2
    assert many(place, tmp_path / "here", retry_failed=True).standing.answered == 3
    there = many(place, tmp_path / "there", engine="backwards", workers=2)
    assert repr(there).endswith("3 of 3 prompts have an answer")
    found = [result for result in there if result is not None]
    assert [result.prompt for result in found] == PROMPTS
    assert there.write(tmp_path / "there.jsonl") == 3
    opened = sea.ManyAnswers(tmp_path / "there")
    assert opened.write(tmp_path / "again.jsonl") == 3
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()
    with pytest.raises(sea.RecipeError, match="batch: 2 then, 1 now"):
        many(place, tmp_path / "there", batch=1)
    with pytest.raises(sea.RecipeError, match=r"ends in \.jsonl or \.parquet"):
        opened.write(tmp_path / "table.txt")


def test_what_a_folder_cannot_keep_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(sea.RecipeError, match="objects of this process: 'own'"):
        many(place, tmp_path / "out", energies={"own": lambda prompts, texts: [0.0] * len(texts)})
    with pytest.raises(sea.RecipeError, match="holds no plan of many prompts"):
        sea.ManyAnswers(tmp_path)
    assert not (tmp_path / "out").exists()
