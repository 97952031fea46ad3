"""Prompts and judges of the quality benchmark: `python benchmarks/quality_data.py --data DIR --out DIR`.

Prompts to tune on, to report, and to fit compasses on are different rows: instructions (alpaca_eval), beginnings of
sentences (RealToxicityPrompts, the DExperts evaluation) and scenes to write (CommonGen), one after the other.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

SHARES = {
    "tune": (slice(0, 12), slice(0, 12), slice(0, 12)),
    "report": (slice(100, 116), slice(60, 76), slice(100, 116)),
    "compass": (slice(20, 36), slice(20, 36), slice(20, 36)),  # that the compasses in the box are fitted on
}

SENTIMENT = "--text-column 3 --label-column 2 --threshold 0 --gap 0.3 --layer-search 22"
TWEETS = "davidson_hate_offensive.csv.gz::text=tweet,label=class"


def prompts(data: Path) -> list[list[str]]:
    """Three lists: instructions shorter than 300 characters, beginnings, scenes."""
    lines = (data / "alpaca_eval_605.jsonl").read_text(encoding="utf-8").splitlines()
    instructions = [t for t in (json.loads(line)["instruction"] for line in lines) if len(t) < 300]
    with (data / "rtp_dexperts_human_eval.csv").open(encoding="utf-8", newline="") as file:
        beginnings = list(dict.fromkeys(row["sentprefix"] for row in csv.DictReader(file)))
    scenes = (data / "commongen_dev_200.jsonl").read_text(encoding="utf-8").splitlines()
    words = [", ".join(json.loads(line)["concept_set"].split("#")) for line in scenes]
    return [instructions, beginnings, [f"Write a sentence with the words: {w}." for w in words]]


def write_prompts(data: Path, out: Path) -> None:
    groups = prompts(data)
    for name, parts in SHARES.items():
        rows = zip(*(group[part] for group, part in zip(groups, parts, strict=True)), strict=True)
        texts = [json.dumps({"instruction": prompt}) for row in rows for prompt in row]
        (out / f"{name}.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")


def write_pairs(data: Path, out: Path) -> None:
    """PKU-SafeRLHF as pairs: the safer answer comes first in its file."""
    with gzip.open(data / "pku_saferlhf_test_pairs.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pairs = [{"prompt": r["prompt"], "chosen": r["response"][0], "rejected": r["response"][1]} for r in rows]
    (out / "safer.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n", encoding="utf-8")


def train_judges(data: Path, out: Path) -> None:
    """Probes on other layers than the rewards' and, but for part of the toxicity data, on other texts."""
    train = [sys.executable, "-m", "sea_toolkit.cli", "train-probe", "--seed", "1"]
    sentiment = [
        data / "vader_tweets_GroundTruth.tsv.gz",
        f"{data / 'vader_nytEditorialSnippets_GroundTruth.tsv.gz'}::rows=3000",
    ]
    toxicity = [
        f"{data / TWEETS},positive=0,negative=none,rows=1200",
        f"{data / TWEETS},positive=1,negative=none,rows=1500",
        f"{data / TWEETS},positive=none,negative=2,rows=2400",
    ]
    safer = [out / "safer.jsonl", "--format", "pairs", "--group-column", "prompt", "--max-rows", "3000"]
    for name, arguments in {
        "sentiment-judge": [*sentiment, *SENTIMENT.split()],
        "toxicity-judge": [*toxicity, "--layer-search", "20"],
        "harmlessness-judge": [*safer, "--layer-search", "20"],
    }.items():
        subprocess.run(
            [*train, *map(str, arguments), "--out", str(out / f"{name}.safetensors"), "--name", name], check=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_prompts(options.data, options.out)
    write_pairs(options.data, options.out)
    train_judges(options.data, options.out)


if __name__ == "__main__":
    main()
