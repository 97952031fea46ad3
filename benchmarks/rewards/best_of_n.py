"""Best-of-n for several kinds of one set of draws: `python benchmarks/rewards/best_of_n.py quality/report.jsonl …`.

    python benchmarks/rewards/best_of_n.py quality/report.jsonl --models quality --kinds words,similarity --out results

The draws are kept in `OUT/draws.jsonl`, a line for each prompt, so that each kind only costs its scoring. For each n it
takes the answer of the lowest energy among the first n, and writes `OUT/KIND-best-of-n.jsonl`, which `tables.py` reads
beside the answers of `run.py`. The scales are those of `OUT/KIND.json`, which `run.py` wrote.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from json_lines import write_lines
from kinds import KINDS

import sea_toolkit as sea
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.runs.overrides import build_recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.util.prompts import read_prompts


def drawn(policy: sea.Policy, prompt: Any, count: int, length: int, seed: int) -> list[dict[str, Any]]:
    """Answers to one prompt: text, whether it ended, tokens, and −log π of the tokens that it was drawn in."""
    prefix = policy.prefix(policy.encode([prompt], length))
    noise = sea.Noise.for_prompts([prompt], seed, policy.device)
    found = sea.decode(policy, prefix, noise.uniform(count, length))
    response = SoftResponse.from_ids(found.ids, policy.eos_ids)
    counts, ends = response.alive.sum(-1)[0].int().tolist(), policy.ends(found.ids)[0].tolist()
    nll = (-found.log_prob.sum(-1)[0]).tolist()
    return [
        {"text": policy.decode(ids[:n]), "finished": end >= 0, "tokens": n, "nll": cost}
        for ids, n, end, cost in zip(found.ids[0].tolist(), counts, ends, nll, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--kinds", required=True, help="with commas")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budgets", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128, 256], metavar="N")
    given = parser.parse_args()
    prompts = read_prompts(given.prompts)[: given.limit]
    policy = Session().policy(build_recipe({"policy": {"model": given.policy}}).policy)
    file = given.out / "draws.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    with file.open("a", encoding="utf-8") as kept:
        for prompt in prompts[len(lines) :]:
            lines.append(json.dumps(drawn(policy, prompt, max(given.budgets), given.length, given.seed)))
            kept.write(lines[-1] + "\n")
            kept.flush()
            print(f"draws: {len(lines)} of {len(prompts)} prompts", flush=True)
    draws = [json.loads(line) for line in lines]
    for name in given.kinds.split(","):
        write(name, prompts, draws, policy, given)
        print(f"{name}: done", flush=True)


def write(name: str, prompts: list[Any], draws: list[Any], policy: sea.Policy, given: argparse.Namespace) -> None:
    """Score the draws by one kind, and write the rows of best-of-n."""
    recipe = KINDS[name].recipe(given.length, given.models)
    setting = json.loads((given.out / f"{name}.json").read_text(encoding="utf-8"))
    scales = [term["deviation"] for term in setting["scales"]["terms"].values()]
    energies = [{**term, "scale": scale} for term, scale in zip(recipe["energies"][1:], scales, strict=True)]
    scorer = sea.Scorer(recipe={"energies": energies}, policy=policy, batch=max(given.budgets))
    rows = []
    for p, (prompt, some) in enumerate(zip(prompts, draws, strict=True)):
        scores = scorer.score([prompt] * len(some), [d["text"] for d in some], finished=[d["finished"] for d in some])
        totals = [score.energy + d["nll"] for score, d in zip(scores, some, strict=True)]
        for n in given.budgets:
            best = min(range(n), key=totals.__getitem__)
            rows.append({
                "method": "best-of-n", "budget": float(n), "prompt_index": p, "text": some[best]["text"],
                "finished": some[best]["finished"], "energy": totals[best], "terms": scores[best].terms,
                "nll_per_token": some[best]["nll"] / max(1, some[best]["tokens"]), "samples": float(n),
                "seconds": float("nan"),
            })  # fmt: skip
    write_lines(given.out / f"{name}-best-of-n.jsonl", rows)


if __name__ == "__main__":
    main()
