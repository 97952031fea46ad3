"""Answers of the test bed: samplers × budgets for one kind of reward.

    python benchmarks/rewards/run.py quality/report.jsonl --tune quality/tune.jsonl --models quality \\
        --kind sentiment --out results

`--models` has the rewards that `make_models.py` trains. The scale of the reward is measured on the tuning prompts; what
is kept in `--out` is not made again. `judge.py` and `tables.py` go on from there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinds import KINDS

import sea_toolkit as sea
from sea_toolkit.cli.compare import method_options
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.requirements import TermFacts, check_energy
from sea_toolkit.runs.session import Session
from sea_toolkit.samplers.base import sampler_class
from sea_toolkit.util.prompts import read_prompts

WORDS = 4000
"""Words that a reward without a gradient is asked about."""

MAIN = "tilted,smc,args,best-of-n"
ALL = "sea-guided,suffix-mh,chunk-beam,tilted-exact,sea,sea-adam,psgld,mala,discrete-langevin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--tune", type=Path, required=True, help="prompts that scales are measured on")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--part",
        action="append",
        metavar="SAMPLERS@BUDGETS",
        help="a comparison, as tilted,smc@8,32; may be repeated",
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="LABEL.KEY=VALUE", help="of one method: cool.temperature=0.5"
    )
    parser.add_argument(
        "--compass", action="store_true", help="fit one to each reward on the tuning prompts; keep it under OUT/compass"
    )
    given = parser.parse_args()
    if given.compass:
        given.out /= "compass"
    options = method_options(given.option)
    kind, out = KINDS[given.kind], given.out / given.kind
    policy = Session().policy(build_recipe({"policy": {"model": given.policy}}).policy)
    given.out.mkdir(parents=True, exist_ok=True)
    recipe = kind.recipe(given.length, given.models)
    if given.compass:
        add_compasses(recipe, read_prompts(given.tune), policy, out)
    scaled = scaled_recipe(recipe, read_prompts(given.tune), policy, given.seed)
    assert scaled.calibration is not None
    setting = {"scales": scaled.calibration.model_dump(mode="json", exclude_none=True), "length": given.length}
    (given.out / f"{given.kind}.json").write_text(json.dumps(setting), encoding="utf-8")
    prompts = read_prompts(given.prompts)[: given.limit]
    fitting = Fitting(scaled, policy)
    for part in given.part or [f"{MAIN}@4,8,16,32,64", "best-of-n@128,256", f"{ALL}@8,32"]:
        methods, _, budgets = part.partition("@")
        samplers, start = fitting(methods.split(",")), time.perf_counter()
        labels = {sampler.split("=")[0] for sampler in samplers}
        if samplers:
            sea.compare(
                prompts, recipe=scaled, samplers=samplers, budgets=[float(b) for b in budgets.split(",")],
                options={label: of for label, of in options.items() if label in labels}, batch=given.batch,
                seeds=[given.seed], policy=policy, out=out,
            )  # fmt: skip
        print(f"{given.kind}: {','.join(samplers)}@{budgets}: {time.perf_counter() - start:.0f} s", flush=True)


def add_compasses(recipe: dict[str, Any], prompts: list[Any], policy: sea.Policy, out: Path) -> None:
    """Give each term but the reference a compass; by single words where it has no gradient."""
    for i, term in enumerate(recipe["energies"][1:]):
        file = out.with_name(f"{out.name}-{i}.compass.safetensors")
        if not file.exists():
            alone = {"energies": [term | {"weight": 1.0, "scale": 1.0}], "max_new_tokens": recipe["max_new_tokens"]}
            start = time.perf_counter()
            try:
                found = sea.fit_compass(prompts, recipe=alone, policy=policy)
            except sea.RecipeError as error:
                print(f"by single words: {error.got}", flush=True)
                found = sea.fit_compass(prompts, recipe=alone, policy=policy, words=WORDS, samples=4)
            found.save(file)
            print(f"compass of {term['name']}: {time.perf_counter() - start:.0f} s", flush=True)
        term["compass"] = str(file)


class Fitting:
    """Which samplers can work with a recipe's energies: some need gradients, and a run would refuse them."""

    def __init__(self, recipe: sea.Recipe, policy: sea.Policy) -> None:
        session = Session(policy=policy)
        self.recipe, self.items = recipe, session.hub.items("sampler")
        problem = session.bind(session.compose(build_recipe(recipe, None, {"sampler": "best-of-n"})), ["Hello."])
        self.facts = [TermFacts.bound(term) for term in problem.terms]

    def __call__(self, samplers: Sequence[str]) -> list[str]:
        """Those of them that can; the others are named."""
        found = []
        for sampler in samplers:
            name = sampler.rpartition("=")[2]
            (item,) = (item for item in self.items if item.name == name)
            try:
                check_energy(name, sampler_class(item)(), self.facts, self.recipe, self.items)
                found.append(sampler)
            except sea.RecipeError as error:
                print(f"without {sampler}: {error.got}", flush=True)
        return found


def scaled_recipe(recipe: dict[str, Any], prompts: list[Any], policy: sea.Policy, seed: int) -> sea.Recipe:
    """The recipe with the terms' deviations over the policy's answers to the tuning prompts."""
    return sea.calibrate(prompts, recipe=recipe, samples=8, seed=seed, policy=policy).recipe


if __name__ == "__main__":
    main()
