"""Rewards of the test bed that are trained: `python benchmarks/rewards/make_models.py --data DATA --models quality`.

A probe with a hidden layer on the policy's last block; with `--encoder FOLDER` (an encoder with a tokenizer of its own)
one on that as well. The judges come from `benchmarks/quality_data.py`, into the same folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from kinds import OTHER_TOKENIZER, TWO_LAYER

SENTIMENT = ["--text-column", "3", "--label-column", "2", "--threshold", "0", "--gap", "0.5"]
SENTIMENT += ["--hidden", "64", "--max-rows", "6000"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data files")
    parser.add_argument("--models", type=Path, required=True, help="folder to write to")
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--last", default="30", help="the policy's last block")
    parser.add_argument("--encoder", help="folder or Hugging Face id")
    given = parser.parse_args()
    given.models.mkdir(parents=True, exist_ok=True)
    made = [(TWO_LAYER, given.policy, ["--layer", given.last])]
    if given.encoder:
        made.append((OTHER_TOKENIZER, given.encoder, []))
    data = str(given.data / "vader_movieReviewSnippets_GroundTruth.tsv.gz")
    for file, model, where in made:
        command = [sys.executable, "-m", "sea_toolkit", "train-probe", data, "--model", model, *SENTIMENT, *where]
        subprocess.run([*command, "--out", str(given.models / file), "--force"], check=True)


if __name__ == "__main__":
    main()
