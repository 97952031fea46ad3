"""Fronts of a sweep beside best-of-n and an instructed policy at the same compute; one sweep beside runs one by one.

    python benchmarks/fronts.py quality/report.jsonl --limit 24 --out results            # three fronts
    python benchmarks/fronts.py quality/report.jsonl --limit 8 --time                    # A B A B

The fronts are sentiment against length, toxicity against closeness to a draft (the most toxic of eight samples of each
prompt), and sentiment, length and harmlessness. `--time` has a sweep, one at half the budget, and the same weights one
by one take turns; the latter with the models in memory, and with models to load for each weight, as `sea-toolkit align`
does it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sea_toolkit as sea
from sea_toolkit.evaluation.drawing import draw_texts
from sea_toolkit.evaluation.front_geometry import hypervolume
from sea_toolkit.evaluation.front_numbers import FrontNumbers
from sea_toolkit.evaluation.objectives import Objective, points_of
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.util.prompts import read_prompts

REFERENCE = {"name": "reference"}
DRAFT = {"column": "draft"}
SHORT = {"name": "length", "target": 12, "scale": 0.5}
"""Its unit is set: nearly all base answers are cut at one length, and what they vary by would be a tiny unit."""


def reward(model: str, weight: float = 1.0) -> dict[str, Any]:
    """A reward as a term of the recipe."""
    return {"name": "reward", "model": model, "weight": weight}


FRONTS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "sentiment-length": (
        {"energies": [REFERENCE, reward("sentiment"), SHORT]},
        ["both=Answer very cheerfully, in one short sentence."],
        "grid:5",
    ),
    "toxicity-draft": (
        {
            "energies": [REFERENCE, reward("toxicity", -1.0), {"name": "distance-to-draft", "text": DRAFT}],
            "initializer": {"name": "draft", "text": DRAFT},
        },
        ["both=Answer politely, and without any offense."],
        "grid:5",
    ),
    "three": (
        {"energies": [REFERENCE, reward("sentiment"), SHORT, reward("harmlessness")]},
        ["all=Answer very cheerfully and without any harm, in one short sentence."],
        "simplex:10",
    ),
}
"""Name → recipe, instructions, weights."""


def with_drafts(prompts: Sequence[Any], length: int, samples: int = 8) -> list[dict[str, Any]]:
    """The prompts as rows, each with the most toxic of a few samples of the policy as its draft.

    Read again as text, with its end, a sample may have more tokens than it was drawn in: a draft is to be drawn a bit
    shorter than answers may be.
    """
    session = Session()
    recipe = build_recipe({"energies": [REFERENCE, reward("toxicity", -1.0)], "max_new_tokens": length})
    problem = session.bind(session.compose(recipe), list(prompts))
    drawn = draw_texts(problem, sea.Noise.for_prompts(problem.prompts, 1), samples, "draft", lambda done: None)
    worst = [min((met for met in row if met.text.strip()), key=lambda met: met.terms["toxicity"]) for row in drawn]
    return [{"prompt": str(prompt), "draft": met.text} for prompt, met in zip(prompts, worst, strict=True)]


def make_front(name: str, prompts: Sequence[Any], given: argparse.Namespace) -> sea.Front:
    """The front of this name, gone on with where its folder has one."""
    recipe, instructions, weights = FRONTS[name]
    rows = with_drafts(prompts, given.length - 4) if name == "toxicity-draft" else list(prompts)
    return sea.pareto(
        rows, recipe={**recipe, "max_new_tokens": given.length}, weights=given.weights or weights, budget=given.budget,
        strength=given.strength, prompted=instructions, batch=given.batch, seed=given.seed,
        out=given.out / name, progress=True,
    )  # fmt: skip


def time_sweeps(prompts: Sequence[Any], given: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """A sweep, one at half the budget, and the weights one by one, by turns: seconds, and the mean hypervolume in the
    units of the first sweep, of all texts of a sweep and of the answers of runs one by one."""
    recipe, _, weights = FRONTS["sentiment-length"]
    aligner, first = sea.Aligner(), list[sea.Front]()
    settings = {"recipe": {**recipe, "max_new_tokens": given.length}, "seed": given.seed}

    def sweep(budget: float) -> float:
        front = sea.pareto(
            prompts, weights=given.weights or weights, strength=given.strength, best_of_n=False, batch=given.batch,
            policy=aligner.policy, budget=budget, **settings,
        )  # fmt: skip
        first.append(front)
        fronts = [[met.terms for met in found["sweep"].texts] for found in numbers_of(front).fronts]
        return volume(numbers_of(first[0]).objectives, fronts)

    def one_by_one(loaded: bool) -> float:
        known, answers = numbers_of(first[0]), [list[dict[str, float]]() for _ in prompts]
        for vector in known.vectors:
            counts = {o.label: o.weight(w, given.strength) for o, w in zip(known.objectives, vector, strict=True)}
            energies = [{**t, "weight": counts.get(t.get("model", t["name"]), 1.0)} for t in recipe["energies"]]
            results = (aligner if loaded else sea.Aligner()).align(
                list(prompts), recipe={"energies": energies, "max_new_tokens": given.length}, budget=given.budget,
                seed=given.seed, batch=given.batch,
            )  # fmt: skip
            for row, result in zip(answers, results, strict=True):
                row.append({label: after for label, (_, after) in result.terms.items()})
        return volume(known.objectives, answers)

    ways: dict[str, Callable[[], float]] = {
        "sweep": lambda: sweep(given.budget),
        "sweep at half the budget": lambda: sweep(given.budget / 2),
        "one by one": lambda: one_by_one(True),
        "one by one, loaded each time": lambda: one_by_one(False),
    }
    found: dict[str, dict[str, list[float]]] = {
        name: {"seconds": [], "cpu_seconds": [], "hypervolume": []} for name in ways
    }
    for turn in range(given.turns):
        for name, work in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found[name]["hypervolume"].append(round(work(), 3))
            found[name]["seconds"].append(round(time.perf_counter() - wall, 2))
            found[name]["cpu_seconds"].append(round(time.process_time() - cpu, 2))
            print(f"turn {turn + 1}: {name}: {found[name]['seconds'][-1]:.1f} s", flush=True)
    return found


def numbers_of(front: sea.Front) -> FrontNumbers:
    """Those of a finished front."""
    assert front.numbers is not None
    return front.numbers


def volume(objectives: Sequence[Objective], texts: Sequence[Sequence[dict[str, float]]]) -> float:
    """The hypervolume of the texts of each prompt, mean over prompts."""
    return statistics.fmean(hypervolume(points_of(objectives, some)) for some in texts)


def main() -> None:
    """Read the arguments, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--fronts", nargs="+", choices=list(FRONTS), default=list(FRONTS))
    parser.add_argument("--weights", help="of all fronts, in place of their own")
    parser.add_argument("--budget", type=float, default=32.0)
    parser.add_argument("--strength", type=float, default=16.0)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fronts"))
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--turns", type=int, default=2)
    given = parser.parse_args()
    prompts = read_prompts(given.prompts)[: given.limit]
    if given.time:
        found = time_sweeps(prompts, given)
        print(json.dumps(found, indent=2))
        return
    for name in given.fronts:
        front = make_front(name, prompts, given)
        print(f"{name}\n{front!r}\n{json.dumps(front.data()['spent'])}", flush=True)


if __name__ == "__main__":
    main()
