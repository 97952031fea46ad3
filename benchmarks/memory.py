"""Peak memory of runs with and without a limit, and what a limit costs.

    python benchmarks/memory.py
    python benchmarks/memory.py --sampler sea --prompts 1,16 --limit none,2GiB

Each run has a process of its own. Above: the peak of resident memory (on a GPU, of tensors) above what it was with the
policy loaded. The answers of a limit are compared with those of the first one in the list.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import click

import sea_toolkit as sea
from sea_toolkit.core.free_memory import memory_in_use
from sea_toolkit.core.peak_memory import peak_memory_mb, reset_peak_memory

QUESTION = "Tell me about the town in the north of the country where you would like to live, and why. ({})"
DTYPES = ("float32", "bfloat16")


def run(sampler: str, prompts: int, limit: str, setting: dict[str, Any]) -> dict[str, Any]:
    """One run in this process: MiB with the policy loaded and at the peak, processor seconds, and the answers."""
    aligner = sea.Aligner(dtype=setting.pop("dtype"), memory_limit=None if limit == "none" else limit)
    loaded = memory_in_use(aligner.policy.device) / 2**20
    reset_peak_memory()
    started = time.process_time()
    results = aligner.align([QUESTION.format(i) for i in range(prompts)], sampler=sampler, **setting)
    return {
        "loaded": loaded,
        "peak": peak_memory_mb(),
        "seconds": time.process_time() - started,
        "answers": [r.response for r in results],
        "energies": [r.energy[1] for r in results],
    }


def in_fresh_process(*arguments: object) -> dict[str, Any]:
    """What `run` returns, from a process of its own; what it says last where it fails."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(sampler: str, prompts: int, limit: str, found: dict[str, Any], first: dict[str, Any]) -> str:
    """A row of the table."""
    head = f"| `{sampler}` | {prompts} | {limit} |"
    if "failed" in found:
        return f"{head} {found['failed']} | | | |"
    same = sum(a == b for a, b in zip(found["answers"], first.get("answers", found["answers"]), strict=True))
    peak, loaded = found["peak"], found["loaded"]
    return f"{head} {peak:.0f} | {peak - loaded:.0f} | {found['seconds']:.0f} | {same} of {prompts} |"


@click.command(help=__doc__)
@click.option("--sampler", "samplers", default="sea,sea-adam,tilted", show_default=True)
@click.option("--prompts", default="1,8", show_default=True)
@click.option("--limit", "limits", default="none,2GiB", show_default=True)
@click.option("--reward", default="sentiment", show_default=True)
@click.option("--chains", default=4, show_default=True)
@click.option("--tokens", default=48, show_default=True)
@click.option("--steps", default=2, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True)
@click.option("--one", hidden=True)
def main(
    samplers: str,
    prompts: str,
    limits: str,
    reward: str,
    chains: int,
    tokens: int,
    steps: int,
    dtype: str,
    one: str | None,
) -> None:
    if one is not None:
        click.echo(json.dumps(run(*json.loads(one))))
        return
    setting = {
        "reward": {reward: 8.0}, "chains": chains, "max_new_tokens": tokens, "steps": steps, "dtype": dtype,
    }  # fmt: skip
    click.echo("| sampler | prompts | limit | peak, MiB | above the loaded policy | processor s | same answers |")
    click.echo("|---|--:|---|--:|--:|--:|--:|")
    for sampler in samplers.split(","):
        for number in map(int, prompts.split(",")):
            first: dict[str, Any] = {}
            for limit in limits.split(","):
                found = in_fresh_process(sampler, number, limit, setting)
                first = first or found
                click.echo(line(sampler, number, limit, found, first))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
