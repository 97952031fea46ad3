"""What `recipe check` foretells, beside what the run then takes: FLOPs, samples and peak memory.

    python benchmarks/forecast.py
    python benchmarks/forecast.py --prompts 1,8 detox helpful-harmless
    python benchmarks/forecast.py --prompts 8,16 --memory-limit 1500MiB detox

Each run and each forecast has a process of its own, so that one's memory is not the other's. Answers are short (16
tokens), so that few of them end early, which nobody can foretell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click

from sea_toolkit.util.sizes import MEMORY_LIMIT

PROMPT = "Tell me about the town in the north of the country where you would like to live, and why."
TOKENS = 20
"""Of the prompt, about."""

RUN = """
import json, sys
import sea_toolkit as sea
recipe, prompts, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
asked = [f"{%r} ({i})" for i in range(prompts)]
first, *_ = sea.align(asked, recipe=recipe, max_new_tokens=tokens, budget=16)
print(json.dumps(first.ledger | {"steps": first.steps}))
"""


def output_of(*command: str) -> dict[str, float]:
    """The JSON object that a process prints last."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--prompts", default="1,8", show_default=True, help="Prompts of a run.")
@click.option("--tokens", default=16, show_default=True, help="Length of an answer.")
@click.option("--memory-limit", default=None, help="Of the runs and the forecasts.")
def main(recipes: tuple[str, ...], prompts: str, tokens: int, memory_limit: str | None) -> None:
    """Print a table in Markdown."""
    if memory_limit is not None:
        os.environ[MEMORY_LIMIT] = memory_limit
    print("| recipe | prompts | TFLOPs foretold | spent | ratio | MiB foretold | peak | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in recipes or ("positive", "detox", "helpful-harmless"):
        for number in prompts.split(","):
            setting = ("--set", f"max_new_tokens={tokens}", "--set", "sampler.budget=16")
            told = output_of(
                "-m", "sea_toolkit", "recipe", "check", name, *setting,
                "--prompts", number, "--prompt-tokens", str(TOKENS), "--json",
            )  # fmt: skip
            real = output_of("-c", RUN % PROMPT, name, number, str(tokens))
            memory = told["memory"]["peak"]  # type: ignore[index]
            cells = [
                *(f"{x / 1e12:.3g}" for x in (told["flops"], real["flops"])),
                f"{told['flops'] / real['flops']:.2f}",
                f"{memory:.0f}",
                f"{real['peak_memory_mb']:.0f}",
                f"{memory / real['peak_memory_mb']:.2f}",
            ]
            print(f"| `{name}` | {number} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
