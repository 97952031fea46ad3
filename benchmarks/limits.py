"""A limit and a reward that pulls against it: how often the limit is kept, and what is left of the reward.

    python benchmarks/limits.py quality/report.jsonl --tune quality/tune.jsonl --judge JUDGE --out results

`toxicity <= c` beside sentiment with weight 8. c is a low quantile of what the policy itself writes, over prompts that
are not reported. Each method has 32 samples; best-of-256 says for which prompts there is a text inside at all, and
best-of-128 is the best of its first half that keeps the limit. What is kept in `--out` is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import sea_toolkit as sea
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.evaluation.statistics import Bootstrap
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.prompts import read_prompts

REWARD, LIMITED, WEIGHT, LENGTH = "sentiment", "toxicity", 8.0, 32
MANY, HALF, FEW = 256, 128, 32
LABEL = f"{LIMITED} limit"
METHODS = ("tilted", "tilted hinge", "suffix-mh", "smc", "args")


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What is in a file, or what `make` gives, which is then kept there."""
    if not path.exists():
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(make()), encoding="utf-8")
        shutil.move(scratch, path)
    return json.loads(path.read_text(encoding="utf-8"))


def run(
    aligner: sea.Aligner, prompts: Sequence[Any], sampler: str, method: str, budget: int, limit: float, seed: int
) -> list[dict[str, Any]]:
    """What a sampler has met for each prompt: its texts in the order of choice, and what the run has cost."""
    recipe = {
        "energies": [{"name": "reference"}, {"name": "reward", "model": REWARD, "weight": WEIGHT}],
        "constraints": [{"name": "reward", "model": LIMITED, "max": limit, "method": method}],
    }
    start = time.process_time()
    results = aligner.align(
        list(prompts), recipe=recipe, sampler={"name": sampler}, budget=budget, seed=seed, max_new_tokens=LENGTH,
        batch=16,
    )  # fmt: skip
    seconds = (time.process_time() - start) / len(prompts)
    return [
        {
            "texts": [
                {"text": c.text, "reward": -c.terms[REWARD], "reading": -c.terms[LABEL], "energy": c.energy}
                | {"number": (c.step + 1) * 16 + c.chain}  # of best-of-n, which draws 16 at a time
                for c in (r.candidates if sampler == "best-of-n" else r.candidates[:1])
            ],
            "per_token": r.nll_per_token[1],
            "samples": r.ledger["samples_per_prompt"],
            "seconds": seconds,
        }
        for r in results
    ]


def quantile(aligner: sea.Aligner, prompts: Sequence[Any], share: float) -> float:
    """The limit: so large a part of the policy's own answers is inside."""
    recipe = {"energies": [{"name": "reference"}, {"name": "reward", "model": LIMITED}]}
    results = aligner.align(
        list(prompts), recipe=recipe, sampler={"name": "best-of-n"}, budget=16, max_new_tokens=LENGTH, batch=12
    )  # fmt: skip
    return float(np.quantile([-c.terms[LIMITED] for r in results for c in r.candidates], share))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--tune", type=Path, required=True, help="prompts that the limit is taken from")
    parser.add_argument("--judge", help="a reward that reads the answers, and takes no part")
    parser.add_argument("--limit", type=int, default=48, help="prompts")
    parser.add_argument("--shares", default="0.05,0.25", help="parts of the policy's own answers inside the limit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    prompts, tune = read_prompts(options.prompts)[: options.limit], read_prompts(options.tune)
    aligner = sea.Aligner()
    judge = None
    if options.judge is not None:
        judge = Judge(options.judge, ModelFinder(PluginHub.discover()))
        judge.load(aligner.policy, [str(p) for p in prompts], LENGTH)
    seed = options.seed
    limits = {
        share: kept(options.out / f"limit-{share}.json", partial(quantile, aligner, tune, share))
        for share in map(float, options.shares.split(","))
    }
    drawn = partial(run, aligner, prompts, "best-of-n", "hinge", MANY, min(limits.values()), seed)
    many = kept(options.out / f"best-of-n-{seed}.json", drawn)
    for share, limit in limits.items():
        found = {}
        for method in options.methods.split(","):
            sampler, _, form = method.partition(" ")
            make = partial(run, aligner, prompts, sampler, form or "multiplier", FEW, limit, seed)
            found[method] = kept(options.out / f"{method.replace(' ', '-')}-{share}-{seed}.json", make)
        table(share, limit, prompts, many, found, judge)


def best(texts: Sequence[dict[str, Any]], limit: float) -> dict[str, Any]:
    """The choice among texts: inside before outside, then the lowest energy."""
    return min(texts, key=lambda t: (max(0.0, t["reading"] - limit), t["energy"]))


def table(
    share: float,
    limit: float,
    prompts: Sequence[Any],
    many: list[dict[str, Any]],
    found: dict[str, list[dict[str, Any]]],
    judge: Judge | None,
) -> None:
    """Print one table: of the prompts for which best-of-256 has a text inside."""
    drawn = {
        f"best-of-{n}": [best([t for t in row["texts"] if t["number"] < n], limit) for row in many]
        for n in (FEW, HALF, MANY)
    }
    half = drawn[f"best-of-{HALF}"]
    possible = [i for i, text in enumerate(drawn[f"best-of-{MANY}"]) if text["reading"] <= limit]
    answers = drawn | {name: [row["texts"][0] for row in rows] for name, rows in found.items()}
    print(
        f"\n{LIMITED} <= {limit:.2f} ({share:.0%} of the policy's own answers), {len(prompts)} prompts; best-of-{MANY}"
    )
    print(f"has a text inside for {len(possible)}\n")
    print("| method | samples | kept | reward where both keep it | − best-of-128 | judge | −log π per token | CPU s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, texts in answers.items():
        inside = [i for i in possible if texts[i]["reading"] <= limit]
        both = [i for i in inside if half[i]["reading"] <= limit]
        difference = Bootstrap(len(both)).means(np.array([[texts[i]["reward"] - half[i]["reward"]] for i in both]))[0]
        cost = ["", "", ""]
        if name in found:
            places = {"samples": 1, "per_token": 2, "seconds": 1}
            cost = [f"{np.mean([row[key] for row in found[name]]):.{n}f}" for key, n in places.items()]
        said = ""
        if judge is not None:
            asked = [str(prompts[i]) for i in both]
            said = f"{np.mean(judge.score(asked, [texts[i]['text'] for i in both], [False] * len(both))):.2f}"
        versus = "" if texts is half else f"{difference.mean:+.2f} [{difference.low:.2f}, {difference.high:.2f}]"
        part = f"{len(inside)} of {len(possible)} ({len(inside) / len(possible):.1%})"
        mean = np.mean([texts[i]["reward"] for i in both])
        print(f"| `{name}` | {cost[0]} | {part} | {mean:.2f} | {versus} | {said} | {cost[1]} | {cost[2]} |")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
