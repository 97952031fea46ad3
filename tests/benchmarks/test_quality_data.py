"""The prompts of the quality benchmark: three sources in turn, tuned and reported ones apart."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "quality_data.py"


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("quality_data", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    instructions = [{"instruction": f"Tell me about {i}." + " Please." * (100 if i == 3 else 0)} for i in range(130)]
    (tmp_path / "alpaca_eval_605.jsonl").write_text("".join(json.dumps(r) + "\n" for r in instructions))
    with (tmp_path / "rtp_dexperts_human_eval.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["prompt_id", "sentprefix"])
        rows.writeheader()
        for i in range(90):
            for _ in range(2):
                rows.writerow({"prompt_id": i, "sentprefix": f"Once, {i} people"})
    scenes = [{"concept_set": f"dog#ball#{i}"} for i in range(130)]
    (tmp_path / "commongen_dev_200.jsonl").write_text("".join(json.dumps(r) + "\n" for r in scenes))
    with gzip.open(tmp_path / "pku_saferlhf_test_pairs.jsonl.gz", "wt") as pairs:
        pairs.write(json.dumps({"prompt": "p", "response": ["safe", "unsafe"]}) + "\n")
    return tmp_path


def read(path: Path) -> list[str]:
    return [json.loads(line)["instruction"] for line in path.read_text().splitlines()]


def test_prompts_alternate_and_reported_ones_were_not_tuned_on(made, data):
    made.write_prompts(data, data)
    tune, report = read(data / "tune.jsonl"), read(data / "report.jsonl")
    assert (len(tune), len(report)) == (36, 48)
    assert len({*tune, *report}) == 84
    assert tune[:4] == [
        "Tell me about 0.",
        "Once, 0 people",
        "Write a sentence with the words: dog, ball, 0.",
        "Tell me about 1.",
    ]
    assert report[:3] == ["Tell me about 101.", "Once, 60 people", "Write a sentence with the words: dog, ball, 100."]
    assert all(len(p) < 300 for p in [*tune, *report]), "the long one was left out"


def test_the_safer_answer_is_the_chosen_one(made, data):
    made.write_pairs(data, data)
    (pair,) = [json.loads(line) for line in (data / "safer.jsonl").read_text().splitlines()]
    assert pair == {"prompt": "p", "chosen": "safe", "rejected": "unsafe"}
