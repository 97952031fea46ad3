"""Rewards with other tokenizers than the policy's: tilted at 32 samples against best-of-128, and each compass alone.

    python benchmarks/foreign_rewards.py quality/report.jsonl --reward A-folder --judge B.safetensors --out results

The 128 samples of a prompt and seed are drawn once, and serve best-of-n for every reward; what is kept in `--out` is
not made again. `words` and `gradient` are `tilted` with one of the two compasses alone. Answers are those of the lowest
energy; the differences are paired, averaged over seeds within a prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sea_toolkit as sea
from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.evaluation.statistics import Bootstrap
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.readers import classifiers, make_bridge
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.prompts import read_prompts

WEIGHT, LENGTH, SAMPLES = 32.0, 32, 128
METHODS = ("tilted", "words", "gradient", "suffix-mh", "smc", "args")


@contextmanager
def one_compass(name: str) -> Iterator[None]:
    """Bridges in which the gradient or the scores of words count alone."""
    plain = make_bridge.bridge_for

    def changed(*given: Any) -> Any:
        bridge = plain(*given)
        prior = bridge.measured.prior
        none = torch.zeros_like(prior.gradient_weight)
        left = {"words": {"gradient_weight": none}, "gradient": {"word_weight": none}}[name]
        return replace(bridge, measured=replace(bridge.measured, prior=replace(prior, **left)))

    classifiers.bridge_for = changed
    try:
        yield
    finally:
        classifiers.bridge_for = plain


def kept(path: Path, make: Any) -> Any:
    """What is in a file, or what `make` gives, which is then kept there."""
    if not path.exists():
        made = make()
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(made), encoding="utf-8")
        shutil.move(scratch, path)
    return json.loads(path.read_text(encoding="utf-8"))


def drawn(policy: Policy, prompts: Sequence[Any], seed: int) -> list[list[dict[str, Any]]]:
    """The samples of each prompt: text, and −log π of the drawn tokens in all and per token. The first is the base."""
    rows = []
    for prompt in prompts:
        prefix = policy.prefix(policy.encode([prompt], LENGTH))
        found = decode(policy, prefix, Noise.for_prompts([prompt], seed, policy.device).uniform(SAMPLES, LENGTH))
        response = SoftResponse.from_ids(found.ids, policy.eos_ids)
        counts = response.alive.sum(-1)[0].int().tolist()
        texts = [policy.decode(ids[:n]) for ids, n in zip(found.ids[0].tolist(), counts, strict=True)]
        totals = (-found.log_prob.sum(-1)[0]).tolist()
        rows.append(
            [
                {"text": text, "nll": nll, "per_token": nll / n}
                for text, nll, n in zip(texts, totals, counts, strict=True)
            ]
        )
    return rows


def aligned(aligner: sea.Aligner, prompts: Sequence[Any], method: str, reward: str, seed: int) -> list[dict[str, Any]]:
    """The answers of one method, and what they cost."""
    sampler = "tilted" if method in ("words", "gradient") else method
    start = time.process_time()
    results = aligner.align(
        list(prompts), sampler={"name": sampler}, reward={reward: WEIGHT}, budget=32, seed=seed, max_new_tokens=LENGTH,
        batch=16,
    )  # fmt: skip
    seconds = (time.process_time() - start) / len(prompts)
    return [
        {
            "text": r.response,
            "per_token": r.nll_per_token[1],
            "samples": r.ledger["samples_per_prompt"],
            "seconds": seconds,
        }
        for r in results
    ]


def scores(judge: Judge, prompts: Sequence[Any], texts: Sequence[str]) -> list[float]:
    """The reward of one text for each prompt."""
    return judge.score([str(prompt) for prompt in prompts], list(texts), [False] * len(texts))


def best_of(rows: Sequence[Sequence[dict[str, Any]]], rewards: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """For each prompt the sample of the lowest energy."""
    chosen = []
    for samples, values in zip(rows, rewards, strict=True):
        energies = [sample["nll"] - WEIGHT * value for sample, value in zip(samples, values, strict=True)]
        best = int(np.argmin(energies))
        chosen.append(samples[best] | {"samples": SAMPLES, "seconds": float("nan")})
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--reward", required=True, action="append", help="may be repeated")
    parser.add_argument("--judge", required=True, action="append", help="one for each reward")
    parser.add_argument("--limit", type=int, default=30)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument(
        "--more-seeds-for", default="tilted", help="methods run with all seeds; the others with the first"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    prompts = read_prompts(options.prompts)[: options.limit]
    seeds = [int(seed) for seed in options.seeds.split(",")]
    aligner, finder = sea.Aligner(), ModelFinder(PluginHub.discover())
    samples = {s: kept(options.out / f"samples-{s}.json", lambda s=s: drawn(aligner.policy, prompts, s)) for s in seeds}
    for reward, judge in zip(options.reward, options.judge, strict=True):
        report(options, aligner, finder, prompts, samples, reward, judge)


def report(
    options: argparse.Namespace,
    aligner: sea.Aligner,
    finder: ModelFinder,
    prompts: Sequence[Any],
    samples: dict[int, list[list[dict[str, Any]]]],
    reward: str,
    judge: str,
) -> None:
    """Print the table of one reward."""
    name, seeds = Path(reward).stem, list(samples)
    judges = [Judge(spec, finder) for spec in (reward, judge)]
    for one in judges:
        one.load(aligner.policy, [str(p) for p in prompts], LENGTH)

    def rewards_of(seed: int) -> list[list[float]]:
        pairs = zip(prompts, samples[seed], strict=True)
        return [scores(judges[0], [prompt] * len(row), [s["text"] for s in row]) for prompt, row in pairs]

    answers: dict[str, dict[int, list[dict[str, Any]]]] = {"base": {}, f"best-of-{SAMPLES}": {}}
    for seed in seeds:
        values = kept(options.out / f"{name}-samples-{seed}.json", lambda seed=seed: rewards_of(seed))
        answers[f"best-of-{SAMPLES}"][seed] = best_of(samples[seed], values)
        answers["base"][seed] = [row[0] | {"samples": 1, "seconds": float("nan")} for row in samples[seed]]
    for method in options.methods.split(","):
        many = method in options.more_seeds_for.split(",")
        for seed in seeds if many else seeds[:1]:
            path = options.out / f"{name}-{method}-{seed}.json"

            def make(method: str = method, seed: int = seed) -> list[dict[str, Any]]:
                if method not in ("words", "gradient"):
                    return aligned(aligner, prompts, method, reward, seed)
                with one_compass(method):
                    return aligned(sea.Aligner(), prompts, method, reward, seed)

            answers.setdefault(method, {})[seed] = kept(path, make)
    table(name, Path(judge).stem, prompts, answers, judges)


def table(
    name: str,
    judge: str,
    prompts: Sequence[Any],
    answers: dict[str, dict[int, list[dict[str, Any]]]],
    judges: list[Judge],
) -> None:
    """Means over prompts, and the paired differences from best-of-n over the seeds that both have."""
    columns: dict[str, dict[int, np.ndarray[Any, Any]]] = {}
    for method, by_seed in answers.items():
        for seed, rows in by_seed.items():
            texts = [row["text"] for row in rows]
            told = [scores(one, prompts, texts) for one in judges]
            columns.setdefault(method, {})[seed] = np.array([*told, [row["per_token"] for row in rows]]).T
    bootstrap = Bootstrap(len(prompts))
    print(f"\n{name}, judge {judge}, {len(prompts)} prompts\n")
    print("| method | seeds | samples | reward | − best-of-128 | judge | − best-of-128 | −log π per token | CPU s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    reference = columns[f"best-of-{SAMPLES}"]
    for method, by_seed in columns.items():
        seeds = list(by_seed)
        mean = np.mean([by_seed[s] for s in seeds], 0)
        versus = mean - np.mean([reference[s] for s in seeds], 0)
        differences = bootstrap.means(versus)
        rows = [row for s in seeds for row in answers[method][s]]
        spent, seconds = (np.mean([row[key] for row in rows]) for key in ("samples", "seconds"))
        r, j, n = mean.mean(0)
        shown = [
            "" if method.startswith("best-of") else f"{d.mean:+.2f} [{d.low:.2f}, {d.high:.2f}]" for d in differences
        ]
        print(
            f"| `{method}` | {len(seeds)} | {spent:.1f} | {r:.2f} | {shown[0]} | {j:.2f} | {shown[1]} | {n:.2f} | "
            f"{'' if np.isnan(seconds) else f'{seconds:.1f}'} |"
        )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
